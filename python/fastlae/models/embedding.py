"""What all embedding models share: embeddings of the items learned step by step."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory, _progress, ops
from .._arrays import Place, host_csr, place_for, transfer
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..evaluation import evaluate
from ..ops import device
from ..ops.gram import check_float
from ..ops.implicit_slim import frequent_items, implicit_slim_checked, slim_scales
from ..ops.topk import check_count
from ..ops.weights import check_number
from . import device_vectors as on_device
from .vectors import Array, VectorModel

if TYPE_CHECKING:
    from typing_extensions import Self

Learned = Callable[[], dict[str, Any]]
MODES = (None, "init", "init+reg")


class EmbeddingModel(on_device.Movable, VectorModel):
    """What the embedding models share; use one of the subclasses.

    Attributes
    ----------
    item_embeddings_, bias_, item_counts_ : ndarray
        As in `VectorModel`.
    steps_ : int
        Steps after which the training ended.
    """

    steps_: int

    dim: int
    dtype: Any
    seed: int

    _arrays: tuple[str, ...] = ("item_embeddings_", "bias_", "item_counts_")  # what files carry
    _on_device: tuple[str, ...] = ("item_embeddings_", "bias_")

    # What a subclass defines.

    @abstractmethod
    def _check(self) -> None:
        """Refuse hyperparameters that make no sense."""

    @abstractmethod
    def _sweeps(self, X: Any) -> Iterator[Learned]:
        """Train on a `Csr`, or a `DeviceCsr`; after every step, a function that makes what is learned so far."""

    # What is shared.

    def fit(
        self,
        X: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        metric: str = "ndcg",
        k: int = 100,
        callback: Callable[[Any], bool | None] | None = None,
    ) -> Self:
        """Learn from interactions, step by step.

        Parameters
        ----------
        X : Interactions, or sparse matrix, (users, items)
            Finite, non-negative values.
        validation : (fold_in, held_out), optional
            Interactions of other users, of whom `fold_in` is shown: training ends at the first step at which `metric`
            of recommending what is held out does not rise, and the best step is kept. Without, all steps are made.
        metric, k : str, int
            See `fastlae.evaluation.evaluate`.
        callback : function, optional
            Called after every step with the model as it is then (``steps_`` has the number of the step); returning True
            ends the training there.

        Returns
        -------
        self
        """
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            raise TypeError("validation: expected a pair (fold_in, held_out)")
        self._watch = (validation, metric, k, callback)
        try:
            return super().fit(X)
        finally:
            self.__dict__.pop("_watch", None)

    def _fit(self, X: Any) -> None:
        place = place_for(self.device, X) if hasattr(self, "device") else None
        with contextlib.nullcontext() if place is None else place.current():
            self._fit_at(place, X)

    def _fit_at(self, place: Place | None, X: Any) -> None:
        validation, metric, k, callback = self._watch
        dtype = check_float(self.dtype)
        check_count(self.dim, "dim")
        if isinstance(self.seed, bool) or not hasattr(self.seed, "__index__") or self.seed < 0:
            raise ValueError(f"seed: expected an integer of at least 0, got {self.seed!r}")
        self._check()
        csr = host_csr(X, dtype) if place is not None else as_csr(X, dtype=dtype, nonnegative=True)
        if not csr.nnz:
            raise ValueError(f"X: expected interactions, got none in a matrix of shape {csr.shape}")
        # Beside X and its transpose some arrays of the size of the embeddings, of users too where a model has those.
        require = _memory.require if place is None else place.require
        require(
            (4 * sum(csr.shape) * self.dim) * dtype.itemsize + 24 * csr.nnz,
            f"embeddings of {csr.shape} users, items in {self.dim} dimensions",
            "A smaller dim needs less.",
        )
        given = csr if place is None else transfer(csr, place, dtype)
        counts = csr.item_counts()
        best: dict[str, Any] | None = None
        best_score = -np.inf
        for step, learned in enumerate(self._with_progress(self._sweeps(given)), start=1):
            if validation is None and callback is None:
                last: Learned = learned
                continue
            state = {**learned(), "item_counts_": counts, "steps_": step}
            candidate = type(self)(**self.get_params())
            candidate.__dict__ |= state
            if isinstance(X, Interactions):
                candidate.interactions_ = X._without_timestamps()
            stop = bool(callback(candidate)) if callback is not None else False
            if validation is not None:
                score = evaluate(candidate, *validation, k=k, metrics=metric, protocol="strong")[f"{metric}@{k}"]
                if float(score) <= best_score:
                    break
                best_score = float(score)
            best = state
            if stop:
                break
        if best is None:
            best = {**last(), "item_counts_": counts, "steps_": step}
        E = best["item_embeddings_"]
        if not np.isfinite(E if place is None else place.library.to_host(E)).all():
            raise ValueError(f"{self!r}: the embeddings exceed what {dtype.name} can hold; larger l2 keep them small")
        own = {name: value for name, value in self.__dict__.items() if not (name.startswith("_") or name.endswith("_"))}
        self.__dict__ = {**own, **best}

    def _with_progress(self, sweeps: Iterator[Learned]) -> Iterator[Learned]:
        """The sweeps, each a like share of the present span."""
        most = max(1, int(getattr(self, "steps", 1)))
        step = 0
        while True:
            with _progress.span(f"{type(self).__name__}, step {step + 1} of {most}", step / most, (step + 1) / most):
                learned = next(sweeps, None)
            if learned is None:
                return
            yield learned
            step += 1

    def _slim(self, X: Any) -> Callable[[Any], Any] | None:
        """E -> implicit_slim(E), with what depends on X alone computed once; None for a model without."""
        mode: str | None = self.implicit_slim  # type: ignore[attr-defined]
        if mode not in MODES:
            raise ValueError(f"implicit_slim: expected one of {', '.join(map(repr, MODES))}, got {mode!r}")
        if mode is None:
            return None
        threads = resolve_threads(self.num_threads)
        dtype = check_float(self.dtype)
        parameters: Any = self
        alpha = check_number(parameters.slim_alpha, "slim_alpha", 0)
        host = X if isinstance(X, Csr) else X.to_host()
        ridge, scale = slim_scales(
            host,
            l2=parameters.slim_l2,
            diagonal="approximate",
            base="ease",
            dropout=0.0,
            dtype=dtype,
            num_threads=threads,
        )
        kept = frequent_items(host.item_counts(), parameters.slim_min_count)
        if host is not X:
            return lambda E: device.implicit_slim_checked(E, X, ridge, scale, alpha, kept)
        return lambda E: implicit_slim_checked(E, X, ridge, scale, alpha, kept, threads)

    def _noise(self, rows: int, scale: float = 1.0, stream: int = 0) -> Array:
        """Normal numbers, the same for a seed."""
        rng = np.random.default_rng([int(self.seed), stream])
        return (scale * rng.standard_normal((rows, self.dim))).astype(check_float(self.dtype))

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        if self._place is not None:
            return self.to("cpu")._state()
        return {name: getattr(self, name) for name in self._arrays}, {"steps": self.steps_}

    def _restore(self, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        for name in self._arrays:
            setattr(self, name, arrays[name])
        self.steps_ = facts["steps"]


class LinearEmbedding(EmbeddingModel):
    """Embedding models whose user vectors are linear in what the user has: p(x) = x A, so that W = A E^T.

    Attributes
    ----------
    encoder_ : ndarray, (items, dim)
        A.
    """

    encoder_: Array

    _arrays = (*EmbeddingModel._arrays, "encoder_")
    _on_device = (*EmbeddingModel._on_device, "encoder_")

    def _vectors(self, X: Any) -> Any:
        return ops.score(X, self.encoder_, num_threads=self.num_threads)

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        weights = self.encoder_[x.indices].astype(np.float64) @ self.item_embeddings_[item].astype(np.float64)
        return np.asarray(x.dense_values(np.float64) * weights)
