"""ImplicitSLIM for the embeddings of any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._sparse import as_csr
from .._threads import resolve_threads
from ..ops.implicit_slim import frequent_items, implicit_slim_checked, slim_scales
from ..ops.topk import check_count
from ..ops.weights import check_number

_STATES = ("keep", "reset")


class ImplicitSLIMRefresh:
    """Replaces a weight by `fastlae.ops.implicit_slim` of it, in place, every so many epochs.

    For any parameter with a row (``torch.nn.Embedding``) or a column (``torch.nn.Linear`` from items: ``axis=1``) per
    item, while any optimizer trains the rest.

    Parameters
    ----------
    weight : torch.Tensor, or several
        Floating-point parameters, (items, dim) or (dim, items). Each is refreshed on its own.
    X : sparse matrix, (users, items), or Interactions
        Interactions of the training; ``X.T`` for embeddings of users.
    every : int
        Epochs between two refreshes.
    l2, alpha, min_count, diagonal, base, dropout
        As in `fastlae.ops.implicit_slim`; what depends on X alone is computed here, once.
    axis : int
        0: items are rows; 1: items are columns, as in the weight of a linear layer that takes items.
    optimizer : torch.optim.Optimizer, optional
        Whose state of the weight is to be handled. Without, it is left alone.
    state : {"keep", "reset"}
        What becomes of it (moments, averages) at a refresh: "keep" leaves it as it is, as the paper's authors do;
        "reset" forgets it, as before the first step.
    skip_first : int
        Rows (columns) before the first item, such as a padding index; they are left as they are.
    num_threads : int
        0 means all that the process may use.

    Notes
    -----
    Shenbin and Nikolenko, ICLR 2024: RecVAE every 10 epochs (the encoder's first layer and the decoder), UltraGCN every
    few, BERT4Rec every 2 to 20. Validation scores fall for an epoch or so after each refresh: early stopping must not
    end there (``refreshed_`` tells).

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> items = torch.nn.Embedding(3, 2)
    >>> refresh = fastlae.nn.ImplicitSLIMRefresh(items.weight, X, every=2, l2=1.0, alpha=1.0)
    >>> [refresh.step() for epoch in range(5)]
    [False, True, False, True, False]
    """

    def __init__(
        self,
        weight: Any,
        X: Any,
        *,
        every: int = 10,
        l2: float,
        alpha: float,
        min_count: float = 0,
        diagonal: Any = "approximate",
        base: str = "ease",
        dropout: float = 0.0,
        axis: int = 0,
        optimizer: torch.optim.Optimizer | None = None,
        state: str = "keep",
        skip_first: int = 0,
        num_threads: int = 0,
    ) -> None:
        self.weights = [weight] if isinstance(weight, torch.Tensor) else list(weight)
        self.every = check_count(every, "every")
        if axis not in (0, 1):
            raise ValueError(f"axis: expected 0 or 1, got {axis!r}")
        if state not in _STATES:
            raise ValueError(f"state: expected 'keep' or 'reset', got {state!r}")
        if state == "reset" and optimizer is None:
            raise ValueError("optimizer: needed to reset its state")
        if skip_first:
            check_count(skip_first, "skip_first")
        self.axis, self.optimizer, self.state, self.skip_first = axis, optimizer, state, int(skip_first)
        self._X = as_csr(X, dtype=np.float32)
        for one in self.weights:
            if not isinstance(one, torch.Tensor) or one.ndim != 2 or not one.is_floating_point():
                raise TypeError(f"weight: expected matrices of floating-point numbers, got {type(one).__name__}")
            if one.shape[axis] - self.skip_first != self._X.shape[1]:
                raise ValueError(
                    f"weight: expected {self._X.shape[1]} items of X (and {self.skip_first} before them) along axis "
                    f"{axis}, got shape {tuple(one.shape)}"
                )
        self._threads = resolve_threads(num_threads)
        self._alpha = check_number(alpha, "alpha", 0)
        self._kept = frequent_items(self._X.item_counts(), min_count)
        self._ridge, self._scale = slim_scales(
            self._X, l2=l2, diagonal=diagonal, base=base, dropout=dropout, dtype=np.float32, num_threads=self._threads
        )
        self.epochs_ = 0
        self.refreshed_ = False

    def step(self) -> bool:
        """To be called after every epoch; whether the weights were refreshed."""
        self.epochs_ += 1
        self.refreshed_ = self.epochs_ % self.every == 0
        if self.refreshed_:
            self.refresh()
        return self.refreshed_

    def state_dict(self) -> dict[str, int]:
        """The number of epochs so far, for checkpoints."""
        return {"epochs": self.epochs_}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after so many epochs."""
        self.epochs_ = int(state["epochs"])

    @torch.no_grad()
    def refresh(self) -> None:
        """Refresh the weights now.

        Raises
        ------
        ValueError
            If a weight holds NaN or infinity; nothing is changed then.
        """
        fresh = [self._fresh(weight) for weight in self.weights]
        for weight, V in zip(self.weights, fresh, strict=True):
            target = weight if self.axis == 0 else weight.T
            target[self.skip_first :].copy_(torch.from_numpy(V))
            if self.state == "reset" and self.optimizer is not None:
                self.optimizer.state.pop(weight, None)

    def _fresh(self, weight: torch.Tensor) -> NDArray[Any]:
        items = (weight if self.axis == 0 else weight.T)[self.skip_first :]
        E = np.ascontiguousarray(items.detach().to("cpu", torch.float32).numpy())
        if not np.isfinite(E).all():
            raise ValueError("weight: expected finite numbers, got NaN or infinity")
        return implicit_slim_checked(E, self._X, self._ridge, self._scale, self._alpha, self._kept, self._threads)
