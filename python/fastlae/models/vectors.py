"""Models whose scores are products of vectors: users folded in as p(x), items in rows of E, p(x) E^T + bias."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._arrays import Place
from .._sparse import Csr, as_csr, is_sparse
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..ops.factors import recommend_factors_checked
from ..ops.topk import check_count, hidden_items
from . import device_vectors as on_device
from .base import Recommender
from .inverse import unit_rows

Array = NDArray[Any]


class VectorModel(Recommender):
    """What models with vectors of users and items share, embedding models and networks; use one of the subclasses.

    Arrays are of NumPy; those of an embedding model may be on the CUDA device that it was moved to (`to`).

    Attributes
    ----------
    item_embeddings_ : ndarray, (items, dim)
        E.
    bias_ : ndarray, (items,)
        Added to the scores of every user.
    item_counts_ : ndarray of float64, (items,)
        Users of every item; an item with 0 is never recommended.
    """

    item_embeddings_: Array
    bias_: Array
    item_counts_: NDArray[np.float64]

    num_threads: int

    @abstractmethod
    def _vectors(self, X: Any) -> Array:
        """Vectors (users, dim) of any users."""

    @abstractmethod
    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        """What every entry of a user's row adds to the score of `item`."""

    @property
    def _place(self) -> Place | None:
        """The CUDA device that the model recommends on, or None; vectors of networks come to the host."""
        return None

    def _scored_by(self) -> tuple[Any, Any]:
        return self.item_embeddings_, self.bias_

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
        rows = self._rows_of(X, None)[0]
        return self._vectors(self._csr(rows)) if self._place is None else on_device.user_vectors(self, rows)

    def _score(self, X: Any) -> Array:
        if self._place is not None:
            return on_device.score(self, X)
        csr = self._csr(X)
        P = self._vectors(csr)
        return ops.score_factors(P, self.item_embeddings_, bias=self.bias_, num_threads=self.num_threads)

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if self._place is not None:
            return on_device.recommend(self, X, k, exclude_seen, items, forbid)
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
        if self._place is not None:
            return on_device.moved(self, "cpu").similar_items(ids, k)
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
        if self._place is not None:
            return on_device.moved(self, "cpu").explain(x, item, k)
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
