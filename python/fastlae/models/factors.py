"""What all models with weights of low rank share: they keep thin factors, never the items x items product.

W = L diag(f) R^T + diag(delta), L and R (items, rank). Scores are two thin products, the second fused with the
selection of the best (`ops.recommend_factors`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory, ops
from .._sparse import Csr
from .._threads import resolve_threads
from ..ops.factors import recommend_factors_checked
from ..ops.gram import check_float
from ..ops.topk import allocate, hidden_items, slice_hidden, topk_checked
from ..ops.weights import check_number
from . import device_vectors as on_device
from .inverse import row_blocks
from .item_weights import ItemWeights

Vector = NDArray[np.float64]
_BLOCK_BYTES = 256e6  # of user vectors at a time


class FactorModel(on_device.Movable, ItemWeights):
    """What the low-rank models share; use one of the subclasses.

    Arrays are of NumPy, or on the CUDA device that the model was moved to (`to`).

    Attributes
    ----------
    left_, right_ : ndarray, (items, rank)
        L and R; one and the same array where W is symmetric.
    filter_ : ndarray, (rank,)
        f. Where a model has none it is all ones.
    diagonal_ : ndarray of float64, (items,), or None
        delta, which `off(L R^T)` needs: only scores of a user's own items depend on it.
    item_counts_ : ndarray of float64, (items,)
        Diagonal of the Gram matrix; an item with 0 is never recommended.
    """

    left_: NDArray[Any]
    right_: NDArray[Any]
    filter_: NDArray[Any]
    diagonal_: Vector | None

    user_power: float
    popularity_power: float
    dtype: Any
    num_threads: int

    _on_device = ("left_", "right_", "filter_")
    _also: tuple[str, ...] = ()  # what else a subclass learns: vectors and numbers that files carry

    def _check_common(self) -> None:
        check_float(self.dtype)
        for name in ("user_power", "popularity_power"):
            check_number(getattr(self, name), name)

    def _learned(
        self,
        left: NDArray[Any],
        right: NDArray[Any],
        item_counts: Vector,
        *,
        scale: Any = None,
        diagonal: Vector | None = None,
        also: dict[str, Any] | None = None,
    ) -> None:
        """Take over what was learned in one step, so that a fit that fails leaves the model as it was."""
        dtype = check_float(self.dtype)
        shared = left is right
        left = np.ascontiguousarray(left, dtype)
        right = left if shared else np.ascontiguousarray(right, dtype)
        if self.popularity_power != 0:
            with np.errstate(divide="ignore"):
                column = np.where(item_counts > 0, item_counts**self.popularity_power, 0.0)
            right = (right * column[:, None]).astype(dtype)
            diagonal = None if diagonal is None else diagonal * column
        scale = np.ones(left.shape[1], dtype) if scale is None else np.asarray(scale, dtype)
        for name, array in (("left_", left), ("right_", right), ("filter_", scale)):
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: the factors of {self!r} exceed what {dtype.name} can hold")
        learned = {"left_": left, "right_": right, "filter_": scale, "diagonal_": diagonal}
        self.__dict__ = {**self.get_params(), "item_counts_": item_counts, **learned, **(also or {})}

    @property
    def rank_(self) -> int:
        """The rank of L diag(f) R^T: components that the model keeps."""
        self._check_fitted("item_counts_")
        return int(np.count_nonzero(self.filter_ if self._place is None else self.to("cpu").filter_))

    @property
    def _learned_dtype(self) -> np.dtype[Any]:
        place = self._place
        dtype: np.dtype[Any] = self.left_.dtype if place is None else place.library.dtype(self.left_)
        return dtype

    @property
    def weights_(self) -> NDArray[Any]:
        """W, dense (items, items), made at every access: the model itself holds factors only."""
        n = self.n_items_
        needed = n * n * self._learned_dtype.itemsize
        _memory.require(needed, f"the weights of {n} items", "weights_block(j0, j1) gives some columns.")
        W: NDArray[Any] = self.weights_block(0, n)
        return W

    def weights_block(self, j0: int, j1: int) -> Any:
        """Columns j0 to j1 of W, dense (items, j1 - j0), without the rest."""
        n = self.n_items_
        if not (hasattr(j0, "__index__") and hasattr(j1, "__index__")):
            raise TypeError(f"j0, j1: expected integers, got {j0!r}, {j1!r}")
        if not 0 <= j0 <= j1 <= n:
            raise ValueError(f"j0, j1: expected 0 <= j0 <= j1 <= {n}, got {j0}, {j1}")
        if self._place is not None:
            return self.to("cpu").weights_block(j0, j1)
        block = ops.score_factors(self.left_, self.right_[j0:j1] * self.filter_, num_threads=self.num_threads)
        if self.diagonal_ is not None:
            block[np.arange(j0, j1), np.arange(j1 - j0)] += self.diagonal_[j0:j1].astype(block.dtype)
        return block

    def _weights_to(self, item: int, sources: NDArray[np.int32]) -> Vector:
        if self._place is not None:
            return self.to("cpu")._weights_to(item, sources)
        column = self.left_[sources].astype(np.float64) @ (self.filter_ * self.right_[item]).astype(np.float64)
        if self.diagonal_ is not None:
            column[sources == item] += self.diagonal_[item]
        result: Vector = column
        return result

    def user_vectors(self, X: Any) -> NDArray[Any]:
        """The users' vectors P = X L diag(f), by which scores are P R^T.

        Parameters
        ----------
        X : sparse matrix, (users, items), or Interactions
            Any users.

        Returns
        -------
        ndarray, (users, rank)
        """
        rows = self._rows_of(X, None)[0]
        return self._vectors(self._csr(rows)) if self._place is None else on_device.user_vectors(self, rows)

    def _scored_by(self) -> tuple[Any, Any]:
        return self.right_, None

    def _vectors(self, X: Any) -> NDArray[Any]:
        P = ops.score(X, self.left_, num_threads=self.num_threads)
        P *= self.filter_
        return P

    def _add_diagonal(self, scores: NDArray[Any], X: Csr) -> None:
        if self.diagonal_ is not None:
            rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
            scores[rows, X.indices] += (X.dense_values(np.float64) * self.diagonal_[X.indices]).astype(scores.dtype)

    def _score(self, X: Any) -> NDArray[Any]:
        if self._place is not None:
            return on_device.score(self, X)
        csr = self._csr(X)
        needed = csr.shape[0] * csr.shape[1] * self._learned_dtype.itemsize
        _memory.require(needed, "the scores", "Score fewer users at a time, or recommend().")
        out = np.empty(csr.shape, self._learned_dtype)
        for begin, end in self._blocks(csr):
            P = self._vectors(csr.rows(begin, end))
            ops.score_factors(P, self.right_, out=out[begin:end], num_threads=self.num_threads)
        self._add_diagonal(out, csr)
        return out

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if self._place is not None:
            return on_device.recommend(self, X, k, exclude_seen, items, forbid)
        csr = self._csr(X)
        threads = resolve_threads(self.num_threads)
        seen, columns = hidden_items(
            csr, self.n_items_, exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.item_counts_ == 0
        )
        best_items, best = allocate(csr.shape[0], k)
        whole = self.diagonal_ is not None and not exclude_seen  # the diagonal speaks: scores of some users as a whole
        for begin, end in row_blocks(*csr.shape, self.left_.itemsize) if whole else self._blocks(csr):
            part, hidden = csr.rows(begin, end), slice_hidden(seen, begin, end)
            if whole:
                found = topk_checked(self._score(part), k, None, hidden, columns, threads)
            else:
                found = recommend_factors_checked(self._vectors(part), self.right_, k, None, hidden, columns, threads)
            best_items[begin:end], best[begin:end] = found
        nothing = np.diff(csr.indptr) == 0
        best_items[nothing], best[nothing] = -1, -np.inf
        return best_items, best

    def _blocks(self, X: Csr) -> list[tuple[int, int]]:
        """Row ranges whose user vectors take a bounded amount of memory."""
        step = max(1, int(_BLOCK_BYTES / max(1, self.left_.shape[1] * self._learned_dtype.itemsize)))
        return [(begin, min(X.shape[0], begin + step)) for begin in range(0, X.shape[0], step)]

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        if self._place is not None:
            return self.to("cpu")._state()
        arrays = {"item_counts": self.item_counts_, "left": self.left_, "filter": self.filter_}
        if self.right_ is not self.left_:
            arrays["right"] = self.right_
        if self.diagonal_ is not None:
            arrays["diagonal"] = self.diagonal_
        also = {name: getattr(self, name) for name in self._also}
        arrays |= {name: value for name, value in also.items() if isinstance(value, np.ndarray)}
        return arrays, {name: value for name, value in also.items() if not isinstance(value, np.ndarray)}

    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        self.item_counts_, self.left_, self.filter_ = arrays["item_counts"], arrays["left"], arrays["filter"]
        self.right_ = arrays.get("right", self.left_)
        self.diagonal_ = arrays.get("diagonal")
        for name in self._also:
            setattr(self, name, arrays[name] if name in arrays else facts[name])
