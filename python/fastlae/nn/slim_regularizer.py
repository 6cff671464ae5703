"""SLIM as a regularizer of embeddings, with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _memory
from .._sparse import as_csr
from .._threads import resolve_threads
from ..ops.gram import gram
from ..ops.score import product
from ..ops.spd_inverse import spd_inverse
from ..ops.weights import check_number


class SLIMRegularizer:
    """The function ``E -> |E - B^T E|^2``, B being the weights of EASE, computed once.

    Parameters
    ----------
    X : sparse matrix, (users, items), or Interactions
    l2 : float
        Ridge of EASE, positive.
    num_threads : int
        0 means all that the process may use.

    Notes
    -----
    Equation (15) of Shenbin and Nikolenko, ICLR 2024. With P = (X^T X + l2 I)^-1 and D = diag(P): I - B = P D^-1, so
    that P is all that is kept (items x items, float32). The gradient is 2 (I - B)(I - B)^T E.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> regularizer = fastlae.nn.SLIMRegularizer(sp.csr_matrix([[1, 1, 0], [0, 1, 1]]), l2=1.0)
    >>> E = torch.ones(3, 1, requires_grad=True)
    >>> loss = regularizer(E)
    >>> loss.backward()
    >>> round(loss.item(), 4), E.grad.shape
    (1.28, torch.Size([3, 1]))
    """

    def __init__(self, X: Any, *, l2: float, num_threads: int = 0) -> None:
        if check_number(l2, "l2", 0) == 0:
            raise ValueError(f"l2: expected a positive number, got {l2!r}")
        self._threads = resolve_threads(num_threads)
        csr = as_csr(X, dtype=np.float32)
        n = csr.shape[1]
        _memory.require(8 * n * n, f"the inverse of order {n}", "Fewer items need less (n squared).")
        G = gram(csr, dtype=np.float32, num_threads=self._threads)
        G[np.diag_indices_from(G)] += np.float32(l2)
        self.inverse: NDArray[Any] = spd_inverse(G, overwrite_a=True, num_threads=self._threads)
        self._scale = (1.0 / self.inverse.diagonal())[:, None].astype(np.float32)

    def __call__(self, E: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar."""
        if E.ndim != 2 or E.shape[0] != len(self.inverse) or not E.is_floating_point():
            raise ValueError(f"E: expected a matrix of {len(self.inverse)} rows, one per item, got {tuple(E.shape)}")
        loss: torch.Tensor = _Loss.apply(E, self)  # type: ignore[no-untyped-call]
        return loss

    def _times_inverse(self, E: torch.Tensor) -> NDArray[Any]:
        dense = np.ascontiguousarray(E.detach().to("cpu", torch.float32).numpy())
        return product(self.inverse, dense, self._threads)

    def residual(self, E: torch.Tensor) -> NDArray[Any]:
        """(I - B)^T E = D^-1 P E."""
        result: NDArray[Any] = self._times_inverse(E) * self._scale
        return result

    def transposed(self, R: NDArray[Any]) -> NDArray[Any]:
        """(I - B) R = P D^-1 R."""
        return product(self.inverse, np.ascontiguousarray(R * self._scale), self._threads)


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, E: torch.Tensor, regularizer: SLIMRegularizer) -> torch.Tensor:
        residual = regularizer.residual(E)
        ctx.regularizer, ctx.residual, ctx.like = regularizer, residual, E
        return torch.tensor(float(np.vdot(residual, residual)), dtype=E.dtype, device=E.device)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient = 2.0 * ctx.regularizer.transposed(ctx.residual)
        return upstream * torch.from_numpy(gradient).to(ctx.like.device, ctx.like.dtype), None


def slim_regularizer(E: torch.Tensor, X: Any, *, l2: float, num_threads: int = 0) -> torch.Tensor:
    """``|E - B^T E|^2`` with the weights B of EASE; for many calls on one X, make a `SLIMRegularizer` of it once.

    Parameters
    ----------
    E : torch.Tensor, (items, dim)
        Embeddings of the items.
    X : sparse matrix, (users, items), or Interactions
        Interactions of the training.
    l2 : float
        Ridge of EASE, positive.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    torch.Tensor
        A scalar with a gradient.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> round(float(fastlae.nn.slim_regularizer(torch.ones(3, 1), sp.csr_matrix([[1, 1, 0], [0, 1, 1]]), l2=1.0)), 4)
    1.28
    """
    return SLIMRegularizer(X, l2=l2, num_threads=num_threads)(E)
