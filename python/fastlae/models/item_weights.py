"""What models share whose scores add up over a user's items; and those with item-item weights W: scores are X W."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._sparse import Csr, as_csr, is_sparse
from ..data.interactions import Interactions
from ..ops.topk import check_count
from .base import Recommender
from .inverse import unit_rows


class ItemRecommender(Recommender):
    """A recommender whose scores add up over the items that a user has."""

    item_counts_: NDArray[np.float64]

    @abstractmethod
    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        """What every entry of a user's row adds to the score of `item`."""

    @property
    def _learned_dtype(self) -> np.dtype[Any]:
        """Of what is learned; `dtype` may have been set anew since."""
        return np.dtype(np.float32)

    @property
    def n_items_(self) -> int:
        """Number of items."""
        self._check_fitted("item_counts_")
        return len(self.item_counts_)

    def _csr(self, X: Any, name: str = "X") -> Csr:
        self._check_fitted("item_counts_")
        return as_csr(X, name, dtype=self._learned_dtype, cols=self.n_items_, nonnegative=True)

    def similar_items(self, ids: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """For every item, the k others that are recommended most to somebody who has it alone.

        With item-item weights, the largest entries of its row of W.

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
        weights : ndarray of float32, (items asked for, k)

        Examples
        --------
        >>> import fastlae
        >>> X = fastlae.Interactions([1, 1, 2, 2, 3], ["tea", "milk", "tea", "milk", "nut"])
        >>> fastlae.EASE(l2=1.0).fit(X).similar_items("tea", k=1)[0]
        array([['milk']], dtype='<U4')
        """
        n = self.n_items_
        if hasattr(self, "interactions_"):
            rows = self.interactions_.item_positions(ids)
            items, weights = self._recommend(unit_rows(rows, n), k, True, None, None)
            return self._ids_of(items), weights
        rows = np.atleast_1d(np.asarray(ids))
        if not rows.size:
            rows = rows.astype(np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise TypeError(f"ids: expected item positions (integers), got {rows.dtype}")
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            raise ValueError(f"ids: expected positions in 0 .. {n - 1}, got {rows.min()} .. {rows.max()}")
        return self._recommend(unit_rows(rows, n), k, True, None, None)

    def explain(self, x: Any, item: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Which of a user's items speak for `item`: the contributions x_i W[i, item], largest first.

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
            Over all of the user's items they add up to the score of `item`.

        Examples
        --------
        >>> import fastlae
        >>> X = fastlae.Interactions([1, 1, 2, 2, 3], ["tea", "milk", "tea", "cup", "cup"])
        >>> fastlae.EASE(l2=1.0).fit(X).explain(2, "milk")[0].tolist()
        ['tea', 'cup']
        """
        self._check_fitted("item_counts_")
        speaks = hasattr(self, "interactions_") and (isinstance(x, Interactions) or not _is_matrix(x))
        if speaks:
            single = not isinstance(x, Interactions)
            rows, _ = self._rows_of(None, [x]) if single else self._rows_of(x, None)
            places, parts = self._explain(rows, int(self.interactions_.item_positions([item])[0]), k)
            return self._ids_of(places), parts
        return self._explain(x, item, k)

    def _explain(self, x: Any, item: int, k: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        csr = self._csr(x, "x")
        n = self.n_items_
        check_count(k, "k")
        if csr.shape[0] != 1:
            raise ValueError(f"x: expected one row (one user), got {csr.shape[0]}")
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise TypeError(f"item: expected a position (an integer), got {item!r}")
        if not 0 <= item < n:
            raise ValueError(f"item: expected a position in 0 .. {n - 1}, got {item}")
        parts = self._contributions(csr, int(item))
        order = np.lexsort((csr.indices, -parts))[:k]
        return csr.indices[order], parts[order]


class ItemWeights(ItemRecommender):
    """A recommender with scores X W; W[i, j] carries input item i to target item j."""

    @abstractmethod
    def weights_block(self, j0: int, j1: int) -> Any:
        """Columns j0 to j1 of W, dense (items, j1 - j0), without the rest; in host memory."""

    @property
    @abstractmethod
    def _learned_dtype(self) -> np.dtype[Any]:
        """Of what is learned; `dtype` may have been set anew since."""

    def _weights_to(self, item: int, sources: NDArray[np.int32]) -> NDArray[np.float64]:
        """W[sources, item]."""
        column = np.asarray(self.weights_block(item, item + 1))[:, 0]
        return column[sources].astype(np.float64)

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        return np.asarray(x.dense_values(np.float64) * self._weights_to(item, x.indices))


def _is_matrix(x: Any) -> bool:
    """Whether `x` holds interactions by position, rather than being an id."""
    return is_sparse(x) or isinstance(x, Csr) or (isinstance(x, (np.ndarray, list)) and np.ndim(x) == 2)
