"""What all embedding models share: item embeddings E, users folded in as vectors p(x), scores p(x) E^T + bias."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory, _progress, ops
from .._sparse import Csr, as_csr, is_sparse
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..evaluation import evaluate
from ..ops.factors import recommend_factors_checked
from ..ops.gram import check_float
from ..ops.implicit_slim import frequent_items, implicit_slim_checked, item_counts, slim_scales
from ..ops.topk import check_count, hidden_items
from ..ops.weights import check_number
from .base import Recommender
from .inverse import unit_rows

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]
Learned = Callable[[], dict[str, Any]]
MODES = (None, "init", "init+reg")


class EmbeddingModel(Recommender):
    """What the embedding models share; use one of the subclasses.

    Attributes
    ----------
    item_embeddings_ : ndarray, (items, dim)
        E.
    bias_ : ndarray, (items,)
        Added to the scores of every user.
    item_counts_ : ndarray of float64, (items,)
        Users of every item; an item with 0 is never recommended.
    steps_ : int
        Steps after which the training ended.
    """

    item_embeddings_: Array
    bias_: Array
    item_counts_: NDArray[np.float64]
    steps_: int

    dim: int
    dtype: Any
    seed: int
    num_threads: int

    _arrays: tuple[str, ...] = ("item_embeddings_", "bias_", "item_counts_")  # what files carry

    # What a subclass defines.

    @abstractmethod
    def _check(self) -> None:
        """Refuse hyperparameters that make no sense."""

    @abstractmethod
    def _sweeps(self, X: Csr) -> Iterator[Learned]:
        """Train; after every step, a function that makes what is learned so far."""

    @abstractmethod
    def _vectors(self, X: Csr) -> Array:
        """Vectors (users, dim) of any users."""

    @abstractmethod
    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        """What every entry of a user's row adds to the score of `item`."""

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
        validation, metric, k, callback = self._watch
        dtype = check_float(self.dtype)
        check_count(self.dim, "dim")
        if isinstance(self.seed, bool) or not hasattr(self.seed, "__index__") or self.seed < 0:
            raise ValueError(f"seed: expected an integer of at least 0, got {self.seed!r}")
        self._check()
        csr = as_csr(X, dtype=dtype, nonnegative=True)
        if not csr.nnz:
            raise ValueError(f"X: expected interactions, got none in a matrix of shape {csr.shape}")
        # Beside X and its transpose some arrays of the size of the embeddings, of users too where a model has those.
        _memory.require(
            (4 * sum(csr.shape) * self.dim) * dtype.itemsize + 24 * csr.nnz,
            f"embeddings of {csr.shape} users, items in {self.dim} dimensions",
            "A smaller dim needs less.",
        )
        counts = np.bincount(csr.indices, minlength=csr.shape[1]).astype(np.float64)
        best: dict[str, Any] | None = None
        best_score = -np.inf
        for step, learned in enumerate(self._with_progress(self._sweeps(csr)), start=1):
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
        if not np.isfinite(best["item_embeddings_"]).all():
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

    def _slim(self, X: Csr, weights: Any = None) -> Callable[[Array], Array] | None:
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
        ridge, scale = slim_scales(
            X,
            l2=parameters.slim_l2,
            diagonal="approximate",
            base="ease",
            dropout=0.0,
            dtype=dtype,
            num_threads=threads,
        )
        kept = frequent_items(item_counts(X), parameters.slim_min_count)
        return lambda E: implicit_slim_checked(E, X, ridge, scale, alpha, kept, threads)

    def _noise(self, rows: int, scale: float = 1.0, stream: int = 0) -> Array:
        """Normal numbers, the same for a seed."""
        rng = np.random.default_rng([int(self.seed), stream])
        return (scale * rng.standard_normal((rows, self.dim))).astype(check_float(self.dtype))

    @property
    def n_items_(self) -> int:
        """Number of items."""
        self._check_fitted("item_counts_")
        return len(self.item_counts_)

    def _csr(self, X: Any, name: str = "X") -> Csr:
        self._check_fitted("item_embeddings_")
        return as_csr(X, name, dtype=self.item_embeddings_.dtype, cols=self.n_items_, nonnegative=True)

    def user_vectors(self, X: Any) -> Array:
        """Vectors of any users, by which scores are ``P @ item_embeddings_.T + bias_``.

        Parameters
        ----------
        X : sparse matrix, (users, items), or Interactions
            Any users, also such as were never seen in training.

        Returns
        -------
        ndarray, (users, dim)
        """
        return self._vectors(self._csr(self._rows_of(X, None)[0]))

    def _score(self, X: Any) -> Array:
        csr = self._csr(X)
        P = self._vectors(csr)
        return ops.score_factors(P, self.item_embeddings_, bias=self.bias_, num_threads=self.num_threads)

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        csr = self._csr(X)
        seen, columns = hidden_items(
            csr, self.n_items_, exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.item_counts_ == 0
        )
        E, threads = self.item_embeddings_, resolve_threads(self.num_threads)
        best_items, best = recommend_factors_checked(self._vectors(csr), E, k, self.bias_, seen, columns, threads)
        nothing = np.diff(csr.indptr) == 0
        best_items[nothing], best[nothing] = -1, -np.inf
        return best_items, best

    def similar_items(self, ids: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """For every item, the k others whose embeddings have the largest cosine with its own.

        Parameters
        ----------
        ids : array_like, (items asked for,)
            Ids for a model fitted on an `Interactions`, else positions.
        k : int
            At least 1.

        Returns
        -------
        items : ndarray, (items asked for, k)
            Ids or positions (int32), as `ids` are; empty slots as in `recommend`.
        cosines : ndarray of float32, (items asked for, k)
        """
        n = self.n_items_
        known = hasattr(self, "interactions_")
        rows = self.interactions_.item_positions(ids) if known else np.atleast_1d(np.asarray(ids))
        if not rows.size:
            rows = rows.astype(np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise TypeError(f"ids: expected item positions (integers), got {rows.dtype}")
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise ValueError(f"ids: expected positions in 0 .. {n - 1}, got {rows.min()} .. {rows.max()}")
        E = self.item_embeddings_
        length = np.linalg.norm(E, axis=1, keepdims=True)
        E = E / np.where(length > 0, length, 1)
        never = (self.item_counts_ == 0).astype(np.uint8)
        own = unit_rows(rows, n)
        threads = resolve_threads(self.num_threads)
        items, cosines = recommend_factors_checked(
            np.ascontiguousarray(E[rows]), E, k, None, own[:2], never if never.any() else None, threads
        )
        return (self._ids_of(items) if known else items), cosines

    def explain(self, x: Any, item: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Which of a user's items speak for `item`: what each adds to its score, largest first.

        Parameters
        ----------
        x : sparse matrix, (1, items), or Interactions of one user, or the id of a user
            A user by id is one of the training, and needs a model fitted on an `Interactions`.
        item : id, or int
            Whose score is explained; with a matrix a position, else an id.
        k : int
            At most so many contributions.

        Returns
        -------
        items : ndarray, (up to k,)
            Ids, or positions (int32), as `item` is.
        contributions : ndarray of float64, (up to k,)
            Over all of the user's items they add up to the score of `item` less its entry of ``bias_``.
        """
        self._check_fitted("item_embeddings_")
        matrix = is_sparse(x) or isinstance(x, Csr) or (isinstance(x, (np.ndarray, list)) and np.ndim(x) == 2)
        speaks = hasattr(self, "interactions_") and not matrix
        if speaks:
            rows = self._rows_of(x, None)[0] if isinstance(x, Interactions) else self._rows_of(None, [x])[0]
            item = int(self.interactions_.item_positions([item])[0])
        else:
            rows = x
        csr = self._csr(rows, "x")
        check_count(k, "k")
        if csr.shape[0] != 1:
            raise ValueError(f"x: expected one row (one user), got {csr.shape[0]}")
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise TypeError(f"item: expected a position (an integer), got {item!r}")
        if not 0 <= item < self.n_items_:
            raise ValueError(f"item: expected a position in 0 .. {self.n_items_ - 1}, got {item}")
        parts = self._contributions(csr, int(item))
        order = np.lexsort((csr.indices, -parts))[:k]
        places = csr.indices[order]
        return (self._ids_of(places) if speaks else places), parts[order]

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        self._check_fitted("item_embeddings_")
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

    def _vectors(self, X: Csr) -> Array:
        return ops.score(X, self.encoder_, num_threads=self.num_threads)

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        weights = self.encoder_[x.indices].astype(np.float64) @ self.item_embeddings_[item].astype(np.float64)
        return np.asarray(x.dense_values(np.float64) * weights)
