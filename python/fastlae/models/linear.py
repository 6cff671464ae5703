"""What all full-rank linear autoencoders share; the models themselves are in full_rank.py.

Every one has the weights ``W = diag(r) (diag(alpha) + C diag(beta))`` with ``C = (G + Lambda)^-1`` and Lambda
diagonal. A class says what its Lambda is (`_ridge`) and what alpha and beta are (`_diagonals`); all the rest is shared.
"""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _memory, ops
from .._arrays import DeviceCsr, parse_device, place_for
from .._packed import PackedSymmetric, native
from .._sparse import Csr, apart, as_csr, is_sparse
from .._threads import resolve_threads
from ..errors import NotPositiveDefiniteError
from ..ops.gram import check_float
from ..ops.score import column_blocks
from ..ops.topk import (
    allocate,
    check_count,
    hidden_columns,
    hidden_items,
    recommend_checked,
    slice_hidden,
    topk_checked,
)
from ..ops.weights import (
    Diagonals,
    check_dropout,
    check_number,
    check_numbers,
    diagonal_weights,
)
from . import device as on_device
from .inverse import ItemsInverse, UsersInverse, build_inverse, row_blocks
from .item_weights import ItemWeights

if TYPE_CHECKING:
    from typing_extensions import Self

Vector = NDArray[np.float64]
_log = logging.getLogger("fastlae")


def user_weights(X: Csr, power: float) -> Vector | None:
    """n_u**-power, rescaled to mean 1 over users with items, 0 for the others; None for power 0."""
    if power == 0:
        return None
    counts = np.diff(X.indptr).astype(np.float64)
    active = counts > 0
    weights: Vector = np.zeros(len(counts), np.float64)
    if active.any():
        largest = counts[active].min() if power > 0 else counts.max()  # of weight 1 before rescaling: no overflow
        weights[active] = (counts[active] / largest) ** -power
        weights *= active.sum() / weights.sum()
    return weights


def gram_diagonal(X: Csr, weights: Vector | None) -> Vector:
    """d, the diagonal of X^T diag(weights) X."""
    entry = np.ones(X.nnz) if X.values is None else X.values.astype(np.float64) ** 2
    if weights is not None:
        entry *= np.repeat(weights, np.diff(X.indptr))
    return np.bincount(X.indices, weights=entry, minlength=X.shape[1]).astype(np.float64, copy=False)


def invertible_ridge(ridge: Vector, d: Vector) -> Vector:
    """Lambda, with something positive where nobody touched the item: its weights are zero whatever that is."""
    return np.where((d == 0) & (ridge <= 0), 1.0, ridge)


class LinearAutoencoder(ItemWeights):
    """What the full-rank linear autoencoders share; use one of the subclasses."""

    # What is learned.
    form_: str
    _weights: Any
    _inverse: ItemsInverse | UsersInverse  # of which W is made when it is needed; absent where _weights is all
    storage_: str
    _diagonal_vectors: Diagonals

    l2: Any
    user_power: float
    popularity_power: float
    form: str
    storage: str
    dtype: Any
    num_threads: int
    device: str | None

    def _set_common(
        self,
        user_power: float,
        popularity_power: float,
        form: str,
        storage: str,
        dtype: Any,
        num_threads: int,
        device: str | None,
    ) -> None:
        self.user_power = user_power
        self.popularity_power = popularity_power
        self.form = form
        self.storage = storage
        self.dtype = dtype
        self.num_threads = num_threads
        self.device = device

    # What a subclass defines.

    def _check(self, n: int) -> None:
        """Refuse hyperparameters that make no sense for n items."""
        l2 = check_numbers(self.l2, "l2")
        if l2.ndim > 1 or (l2.ndim == 1 and l2.shape != (n,)):
            raise ValueError(f"l2: expected a number, or one per item ({n}), got shape {l2.shape}")
        if (l2 < 0).any():
            raise ValueError(f"l2: expected numbers of at least 0, got {self.l2!r}")
        dropout = getattr(self, "dropout", 0.0)
        p = check_dropout(dropout)
        if p.ndim == 1 and p.shape != (n,):
            raise ValueError(f"dropout: expected a number, or one per item ({n}), got shape {p.shape}")
        for name in ("user_power", "popularity_power"):
            check_number(getattr(self, name), name)
        if self.form not in ("auto", "items", "users"):
            raise ValueError(f"form: expected 'auto', 'items' or 'users', got {self.form!r}")
        if self.storage not in ("auto", "full", "packed", "disk"):
            raise ValueError(f"storage: expected 'auto', 'full', 'packed' or 'disk', got {self.storage!r}")
        if self.device not in (None, "cpu"):
            parse_device(self.device)

    def _ridge(self, d: Vector) -> Vector:
        """Lambda, given d = diag(G)."""
        l2 = np.asarray(self.l2, dtype=np.float64)
        p = np.asarray(getattr(self, "dropout", 0.0), dtype=np.float64)
        return p / (1.0 - p) * d + l2

    def _diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        """alpha, beta and r, given c = diag(C)."""
        raise NotImplementedError

    # What is shared.

    def final_diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        """alpha, beta and r with the popularity scaling in them, and zero weights for items that nobody touched."""
        touched = d > 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            alpha, beta, row_scale = self._diagonals(c, d, ridge)
            column = np.where(touched, d**self.popularity_power, 0.0)
            alpha, beta = np.where(touched, alpha * column, 0.0), np.where(touched, beta * column, 0.0)
            most = np.maximum(np.abs(alpha), np.abs(beta) * max(1.0, c.max(initial=0.0)))
        if not (most < 1e-6 * float(np.finfo(check_float(self.dtype)).max)).all():
            raise ValueError(
                f"popularity_power: the weights of {self!r} exceed what {check_float(self.dtype).name} can hold"
            )
        return Diagonals(alpha, beta, row_scale)

    def _fit(self, X: Any) -> None:
        dtype = check_float(self.dtype)
        threads = resolve_threads(self.num_threads)
        place = place_for(self.device, X)
        if place is not None:
            with place.current():
                on_it, learned = on_device.fit(self, X, place, dtype)
            self.__dict__ = {**self.get_params(), **learned}
            _log.info("%r: fitted %d users x %d items on CUDA device %d", self, *on_it.shape, place.device)
            return
        csr = as_csr(X, dtype=dtype, nonnegative=True)
        self._check(csr.shape[1])
        _memory.require(80 * sum(csr.shape), f"working memory for {csr.shape} users, items", "Fewer of them need less.")
        weights = user_weights(csr, self.user_power)
        d = gram_diagonal(csr, weights)
        ridge = invertible_ridge(self._ridge(d), d)
        if not ((d + ridge).max(initial=0.0) < np.finfo(dtype).max):
            raise ValueError(f"X, l2: the diagonal of G + Lambda exceeds what {dtype.name} can hold; scale both down")
        inverse = build_inverse(
            csr, weights, ridge, form=self.form, storage=self.storage, dtype=dtype, num_threads=threads
        )
        c = inverse.diagonal()
        check_condition(c, d + ridge, dtype)
        diagonals = self.final_diagonals(c, d, ridge)
        matrix = inverse.matrix
        learned = {"item_counts_": d, "form_": inverse.form}
        learned["storage_"] = inverse.storage
        if inverse.form == "items" and not isinstance(matrix, PackedSymmetric):
            learned["_weights"] = diagonal_weights(matrix, diagonals, out=matrix, num_threads=threads)
        else:
            if isinstance(inverse, UsersInverse):
                inverse.X = apart(inverse.X, X)
            learned |= {"_inverse": inverse, "_diagonal_vectors": diagonals}
        # In one step, so that a fit that fails or is interrupted leaves the model as it was.
        self.__dict__ = {**self.get_params(), **learned}
        _log.info("%r: fitted %d users x %d items by the %s form, %s", self, *csr.shape, self.form_, self.storage_)

    @property
    def _place(self) -> Any:
        """The CUDA device that W lies on, or None."""
        self._check_fitted("item_counts_")
        return on_device.learned_place(self)

    def to(self, device: str) -> Self:
        """A fitted copy of the model on another device.

        Parameters
        ----------
        device : str
            "cpu", "cuda" or "cuda:0".

        Returns
        -------
        LinearAutoencoder
            This model itself if it is there already.
        """
        here = self._place
        if device == "cpu":
            if here is None:
                return self
            learned = on_device.fetched(self, here, resolve_threads(self.num_threads))
        else:
            number = parse_device(device)
            if here is not None and number in (None, here.device):
                return self
            if here is not None:
                return self.to("cpu").to(device)
            there = place_for(device)
            assert there is not None
            learned = on_device.moved(self, there)
        copy = type(self)(**self.get_params())
        copy.__dict__ |= {**self.__dict__, "device": device, **learned}
        return copy

    @property
    def weights_(self) -> Any:
        """W as a whole: on the device of the model, but sparse weights are always of SciPy."""
        self._check_fitted("item_counts_")
        if not hasattr(self, "_weights"):
            n, dtype = self.n_items_, self._learned_dtype
            _memory.require(
                n * n * dtype.itemsize,
                f"the weights of {n} items",
                "weights_block(j0, j1) gives some columns, sparsify(top_k=...) the largest.",
            )
            W = np.empty((n, n), dtype)
            for begin, end in row_blocks(n, n, dtype.itemsize):
                W[:, begin:end] = self.weights_block(begin, end)
            if self._place is not None:
                return self._place.from_host(W, dtype)
            self._weights = W
        W = self._weights
        return W.to_host().scipy(W.dtype) if isinstance(W, DeviceCsr) else W

    def weights_block(self, j0: int, j1: int) -> Any:
        """Columns j0 to j1 of W, dense (items, j1 - j0), without the rest; in host memory."""
        n = self.n_items_
        if not (hasattr(j0, "__index__") and hasattr(j1, "__index__")):
            raise TypeError(f"j0, j1: expected integers, got {j0!r}, {j1!r}")
        if not 0 <= j0 <= j1 <= n:
            raise ValueError(f"j0, j1: expected 0 <= j0 <= j1 <= {n}, got {j0}, {j1}")
        if self._place is not None and (block := on_device.weights_block(self, self._place, j0, j1)) is not None:
            return block
        if hasattr(self, "_weights"):
            columns = self._weights[:, j0:j1]
            return columns.toarray() if is_sparse(columns) else columns
        alpha, beta, row_scale = self._diagonal_vectors
        columns = self._inverse.columns(j0, j1)
        block = columns.astype(np.float64) * beta[j0:j1]
        block[np.arange(j0, j1), np.arange(j1 - j0)] += alpha[j0:j1]
        if row_scale is not None:
            block *= row_scale[:, None]
        return block.astype(columns.dtype)

    @property
    def _learned_dtype(self) -> np.dtype[Any]:
        """Of what is learned; `dtype` may have been set anew since."""
        dtype: np.dtype[Any]
        if self._place is not None:
            dtype = on_device.learned_dtype(self, self._place)
            return dtype
        dtype = (self._inverse.matrix if hasattr(self, "_inverse") else self._weights).dtype
        return dtype

    def _implicit_scores(self, X: Csr) -> NDArray[Any]:
        """X W straight from the inverse, for a block of rows."""
        alpha, beta, row_scale = self._diagonal_vectors
        dtype = self._inverse.matrix.dtype
        if row_scale is not None:
            X = X._replace(values=(X.dense_values(np.float64) * row_scale[X.indices]).astype(dtype))
        scores = self._inverse.product(X)
        scores *= beta.astype(dtype)
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        scores[rows, X.indices] += (X.dense_values(np.float64) * alpha[X.indices]).astype(dtype)
        return scores

    def _score(self, X: Any) -> NDArray[Any]:
        if self._place is not None:
            with self._place.current():
                return on_device.score(self, X)
        csr = self._csr(X)
        dtype = self._learned_dtype
        if self.form_ != "sparse" and not hasattr(self, "_inverse"):
            return ops.score(csr, self._weights, num_threads=self.num_threads)
        _memory.require(csr.shape[0] * csr.shape[1] * dtype.itemsize, "the scores", "Score fewer users at a time.")
        if self.form_ == "sparse":
            return np.asarray((csr.scipy(dtype) @ self._weights).toarray())
        out = np.empty(csr.shape, dtype)
        if self.form_ == "items":
            for begin, end in column_blocks(self.n_items_, dtype.itemsize):
                out[:, begin:end] = ops.score(csr, self.weights_block(begin, end), num_threads=self.num_threads)
            return out
        for begin, end in row_blocks(*csr.shape, dtype.itemsize):
            out[begin:end] = self._implicit_scores(csr.rows(begin, end))
        return out

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if self._place is not None:
            with self._place.current():
                return on_device.recommend(self, X, k, exclude_seen, items, forbid)
        csr = self._csr(X)
        threads = resolve_threads(self.num_threads)
        n = self.n_items_
        seen, columns = hidden_items(
            csr, n, exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.item_counts_ == 0
        )
        if not hasattr(self, "_inverse"):
            return recommend_checked(csr, self._weights, k, seen, columns, threads)
        if self.form_ == "items":
            return self._recommend_by_columns(csr, k, seen, columns, threads)
        best_items, best = allocate(csr.shape[0], k)
        for begin, end in row_blocks(*csr.shape, self._inverse.matrix.itemsize):
            scores = self._implicit_scores(csr.rows(begin, end))
            best_items[begin:end], best[begin:end] = topk_checked(
                scores, k, None, slice_hidden(seen, begin, end), columns, threads
            )
        nothing = np.diff(csr.indptr) == 0
        best_items[nothing], best[nothing] = -1, -np.inf
        return best_items, best

    def _recommend_by_columns(
        self, X: Csr, k: int, seen: Any, columns: Any, threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best of every block of columns of W, merged as they come."""
        best_items, best = allocate(X.shape[0], k)
        best_items[:], best[:] = -1, -np.inf
        n, dtype = self.n_items_, self._learned_dtype
        for begin, end in column_blocks(n, dtype.itemsize):
            W = np.ascontiguousarray(self.weights_block(begin, end))
            hidden = None if columns is None else columns[begin:end]
            part = recommend_checked(X, W, min(k, end - begin), hidden_columns(seen, begin, end), hidden, threads)
            items = np.hstack([best_items, np.where(part[0] < 0, -1, part[0] + begin)])
            # Ties go to the earlier place, which holds the smaller item.
            places, best = topk_checked(np.hstack([best, part[1]]), k, None, None, None, threads)
            best_items = np.where(places < 0, -1, np.take_along_axis(items, np.maximum(places, 0), 1))
        return best_items, best

    def sparsify(self, *, top_k: int | None = None, threshold: float | None = None) -> Self:
        """A fitted copy that keeps only the largest weights, as a CSR matrix.

        Parameters
        ----------
        top_k : int, optional
            Keep the k weights of largest magnitude of every column.
        threshold : float, optional
            Keep the weights of at least this magnitude.

        Returns
        -------
        LinearAutoencoder
            Of the same class; its `weights_` is a scipy CSR matrix, its `form_` "sparse".
        """
        n = self.n_items_
        if (top_k is None) == (threshold is None):
            raise ValueError("top_k, threshold: give one of them")
        if top_k is not None:
            check_count(top_k, "top_k")
        if threshold is not None:
            check_number(threshold, "threshold", 0)
        blocks = []
        for begin, end in row_blocks(n, n, 8):
            block = np.array(self.weights_block(begin, end))
            size = np.abs(block)
            if top_k is None:
                block[size < threshold] = 0
            elif top_k < n:
                drop = np.argpartition(-size, top_k - 1, axis=0)[top_k:]
                np.put_along_axis(block, drop, 0, axis=0)
            blocks.append(sp.csc_matrix(block))
        kept = type(self)(**{name: None if name == "device" else v for name, v in self.get_params().items()})
        kept.item_counts_ = self.item_counts_
        if hasattr(self, "interactions_"):
            kept.interactions_ = self.interactions_
        kept.form_ = "sparse"
        kept.storage_ = "full"
        kept._weights = sp.csr_matrix(sp.hstack(blocks, format="csr")) if blocks else sp.csr_matrix((n, n))
        return kept

    def _without_users(self) -> Self:
        self._check_fitted("item_counts_")
        if self.form_ != "users":
            return self
        if self._place is not None:
            bare = self.to("cpu")._without_users()
            bare.device = self.device
            return bare
        bare = copy.copy(self)
        bare._weights = bare.weights_  # asked of the copy, which keeps them
        bare.form_, bare.storage_ = "items", "full"
        del bare._inverse, bare._diagonal_vectors
        return bare

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._check_fitted("item_counts_")
        if self._place is not None:
            return self.to("cpu")._state()
        arrays: dict[str, Any] = {"item_counts": self.item_counts_}
        facts: dict[str, Any] = {"form": self.form_}
        if self.form_ == "sparse":
            W = self._weights
            arrays |= {"indptr": W.indptr.astype(np.int64), "indices": W.indices.astype(np.int32), "values": W.data}
            return arrays, facts
        facts["storage"] = "packed" if self.storage_ == "disk" else self.storage_
        if not hasattr(self, "_inverse"):
            return arrays | {"weights": self._weights}, facts
        alpha, beta, row_scale = self._diagonal_vectors
        inverse = self._inverse
        values, _, facts["tile"] = native(inverse.matrix)
        optional: dict[str, Any] = {"row_scale": row_scale}
        if isinstance(inverse, UsersInverse):
            arrays |= {"ridge": inverse.ridge, "indptr": inverse.X.indptr, "indices": inverse.X.indices}
            optional |= {"values": inverse.X.values, "roots": inverse.roots}
        arrays |= {"inverse": values, "alpha": alpha, "beta": beta}
        return arrays | {name: array for name, array in optional.items() if array is not None}, facts

    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        self.item_counts_, self.form_ = arrays["item_counts"], facts["form"]
        n = len(self.item_counts_)
        if self.form_ == "sparse":
            self.storage_ = "full"
            self._weights = sp.csr_matrix((arrays["values"], arrays["indices"], arrays["indptr"]), shape=(n, n))
            return
        self.storage_ = facts["storage"]
        if "weights" in arrays:
            self._weights = arrays["weights"]
            return
        threads = resolve_threads(self.num_threads)
        order = n if self.form_ == "items" else len(arrays["indptr"]) - 1
        matrix: Any = arrays["inverse"]
        if self.storage_ == "packed":
            matrix = PackedSymmetric(matrix, order, facts["tile"])
        if self.form_ == "items":
            self._inverse = ItemsInverse(matrix, threads)
        else:
            X = Csr(arrays["indptr"], arrays["indices"], arrays.get("values"), (order, n))
            self._inverse = UsersInverse(matrix, X, arrays["ridge"], arrays.get("roots"), threads)
        self._diagonal_vectors = Diagonals(arrays["alpha"], arrays["beta"], arrays.get("row_scale"))


def check_condition(c: Vector, diagonal: Vector, dtype: Any) -> None:
    """Refuse an inverse that is numerically none. c_i (G + Lambda)_ii >= 1 is by how much rounding in item i grows."""
    with np.errstate(invalid="ignore"):
        growth = c * diagonal
        bad = ~(growth < 0.01 / np.finfo(dtype).eps) | ~(c > 0)
    if bad.any():
        raise NotPositiveDefiniteError.at(int(np.argmax(bad)))
