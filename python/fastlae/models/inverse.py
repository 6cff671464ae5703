"""The regularised inverse C = (G + Lambda)^-1 in its two forms.

`ItemsInverse` holds C itself, n x n. `UsersInverse` holds M^-1 = (I + Xw Lambda^-1 Xw^T)^-1, m x m, where Xw is X with
user u's row times the square root of the user's weight; C follows by Woodbury's identity whenever it is asked for:

    C = Lambda^-1 - Lambda^-1 Xw^T M^-1 Xw Lambda^-1,        Xw C = M^-1 Xw Lambda^-1.

The cost of a fit is thus min(users, items)^3. Both answer the same questions, which is all that the models need.

Either matrix is stored in full, or packed: its lower triangle alone, in half the memory, with the same numbers; or
packed in a file, for orders that memory does not hold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _cost, _memory, _progress, ops
from .._packed import PackedSymmetric, disk_tile
from .._sparse import Csr
from ..errors import NotPositiveDefiniteError
from ..ops.score import quadratic_diagonal, symmetric_product, symmetric_score
from ..ops.spd_inverse import inverse_tile, invert_in_place, workspace

Form = Literal["items", "users"]
Storage = Literal["full", "packed", "disk"]
Symmetric = NDArray[Any] | PackedSymmetric
Vector = NDArray[np.float64]

_log = logging.getLogger("fastlae")
_BLOCK_BYTES = 256e6  # of dense scores at a time


class Inverse(Protocol):
    """What a form of the inverse can do."""

    form: Form
    matrix: Symmetric

    @property
    def storage(self) -> Storage:
        """Where the matrix is."""

    def diagonal(self) -> Vector:
        """c, the diagonal of C."""

    def product(self, X: Csr) -> NDArray[Any]:
        """X C, dense (rows of X, n)."""

    def columns(self, begin: int, end: int) -> NDArray[Any]:
        """C[:, begin:end], dense (n, end - begin)."""

    def times(self, V: NDArray[Any]) -> NDArray[Any]:
        """C V for a dense V, in the dtype of the inverse."""


class ItemsInverse:
    """C as an n x n matrix."""

    form: Form = "items"

    def __init__(self, matrix: Symmetric, num_threads: int) -> None:
        self.matrix, self.num_threads = matrix, num_threads

    @classmethod
    def fit(
        cls,
        X: Csr,
        user_weights: Vector | None,
        ridge: Vector,
        *,
        storage: Storage,
        dtype: Any,
        num_threads: int,
        gram: NDArray[Any] | None = None,
    ) -> ItemsInverse:
        """From interactions, or from their Gram matrix if that is at hand (it is copied)."""
        building, inverting = _stages(X, dtype, num_threads, built=gram is not None)
        with building:
            matrix = gram_matrix(X, user_weights, storage, dtype, num_threads) if gram is None else gram.copy()
        _add_to_diagonal(matrix, ridge)
        with inverting:
            invert_in_place(matrix, num_threads)
        return cls(matrix, num_threads)

    @staticmethod
    def memory(users: int, items: int, nnz: int, itemsize: int, storage: Storage) -> int:
        """Bytes at the peak of the computation."""
        return _matrix_bytes(items, itemsize, storage) + 40 * nnz

    @property
    def storage(self) -> Storage:
        """Where the matrix is."""
        return storage_of(self.matrix)

    def diagonal(self) -> Vector:
        """c, the diagonal of C."""
        return self.matrix.diagonal().astype(np.float64)

    def product(self, X: Csr) -> NDArray[Any]:
        """X C, dense (rows of X, n)."""
        return symmetric_score(X, self.matrix, self.num_threads)

    def columns(self, begin: int, end: int) -> NDArray[Any]:
        """C[:, begin:end], dense (n, end - begin)."""
        if isinstance(self.matrix, PackedSymmetric):
            return self.matrix.columns(np.arange(begin, end), self.num_threads)
        return self.matrix[:, begin:end]

    def times(self, V: NDArray[Any]) -> NDArray[Any]:
        """C V for a dense V, in the dtype of the inverse."""
        rows = np.ascontiguousarray(V.T, self.matrix.dtype)
        return symmetric_product(rows, self.matrix, self.num_threads).T


class UsersInverse:
    """M^-1 as a dense m x m matrix, and X beside it."""

    form: Form = "users"

    def __init__(self, matrix: Symmetric, X: Csr, ridge: Vector, roots: Vector | None, num_threads: int) -> None:
        self.matrix, self.X, self.ridge, self.roots, self.num_threads = matrix, X, ridge, roots, num_threads
        by_item = X.transpose()
        # Xw^T by rows: user u's entries times roots[u].
        if roots is not None:
            by_item = by_item._replace(values=by_item.dense_values(np.float64) * roots[by_item.indices])
        if by_item.values is not None:
            by_item = by_item._replace(values=by_item.values.astype(matrix.dtype))
        self.by_item = by_item
        self._by_user: Csr | None = None
        self._row_hashes: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    @classmethod
    def fit(
        cls, X: Csr, user_weights: Vector | None, ridge: Vector, *, storage: Storage, dtype: Any, num_threads: int
    ) -> UsersInverse:
        """From interactions."""
        roots = None if user_weights is None else np.sqrt(user_weights)
        by_item = X.transpose()
        building, inverting = _stages(by_item, dtype, num_threads)
        with building:
            matrix = gram_matrix(by_item, 1.0 / ridge, storage, dtype, num_threads)
        if roots is not None:
            scale = roots.astype(dtype)
            if isinstance(matrix, PackedSymmetric):
                matrix.scale(scale)
            else:
                matrix *= scale[:, None]
                matrix *= scale
        _add_to_diagonal(matrix, 1.0)
        with inverting:
            invert_in_place(matrix, num_threads)
        return cls(matrix, X, ridge, roots, num_threads)

    @property
    def by_user(self) -> Csr:
        """Xw by rows, made when it is first needed."""
        if self._by_user is None:
            self._by_user = self.by_item.transpose()
        return self._by_user

    @staticmethod
    def memory(users: int, items: int, nnz: int, itemsize: int, storage: Storage) -> int:
        """Bytes at the peak of the computation."""
        return _matrix_bytes(users, itemsize, storage) + 60 * nnz

    @property
    def storage(self) -> Storage:
        """Where the matrix is."""
        return storage_of(self.matrix)

    def diagonal(self) -> Vector:
        """c_i = 1/Lambda_i - (x_i^T M^-1 x_i)/Lambda_i^2, x_i the column of item i in Xw."""
        q = quadratic_diagonal(self.by_item, self.matrix, self.num_threads)
        c: Vector = 1.0 / self.ridge - q / self.ridge**2
        check_digits(c, self.ridge, self.by_item.scipy(np.float64), self._new_columns, self.matrix.dtype)
        return c

    def _new_columns(self, positions: NDArray[Any]) -> NDArray[Any]:
        return self._new_rows(unit_rows(positions, self.X.shape[1])).T  # C is symmetric

    def product(self, X: Csr) -> NDArray[Any]:
        """X C, dense (rows of X, n). Rows that were trained on need no product with M^-1."""
        known = self._trained_rows(X)
        if self.roots is not None and self.roots.size:  # a training row of hardly any weight cannot be scaled back
            known = np.where(self.roots[known] < 1e-10, -1, known)
        out = np.empty((X.shape[0], X.shape[1]), self.matrix.dtype)
        trained, new = np.flatnonzero(known >= 0), np.flatnonzero(known < 0)
        if trained.size:
            users = known[trained]
            # Rows u of D^-1/2 M^-1 Xw Lambda^-1, as columns of Xw^T M^-1.
            if isinstance(self.matrix, PackedSymmetric):
                columns = self.matrix.columns(users, self.num_threads)
            elif (np.diff(users) == 1).all():
                columns = self.matrix[:, users[0] : users[-1] + 1]
            else:
                columns = np.take(self.matrix, users, axis=1)
            scores = ops.score(self.by_item, columns, num_threads=self.num_threads)
            scores *= (1.0 / self.ridge).astype(out.dtype)[:, None]
            if self.roots is not None:
                scores *= (1.0 / self.roots[users]).astype(out.dtype)
            out[trained] = scores.T
        if new.size:
            out[new] = self._new_rows(X if new.size == X.shape[0] else take_rows(X, new))
        return out

    def columns(self, begin: int, end: int) -> NDArray[Any]:
        """C[:, begin:end], dense (n, end - begin)."""
        return self.product(unit_rows(np.arange(begin, end), self.X.shape[1])).T  # C is symmetric

    def times(self, V: NDArray[Any]) -> NDArray[Any]:
        """C V for a dense V, in the dtype of the inverse."""
        dtype = self.matrix.dtype
        scaled = np.ascontiguousarray(V / self.ridge[:, None], dtype)
        result: NDArray[Any] = scaled - self._explained(scaled) / self.ridge.astype(dtype)[:, None]
        return result

    def _explained(self, V: NDArray[Any]) -> NDArray[Any]:
        """Xw^T M^-1 Xw V."""
        t = ops.score(self.by_user, V, num_threads=self.num_threads)
        y = symmetric_product(np.ascontiguousarray(t.T), self.matrix, self.num_threads)
        return ops.score(self.by_item, np.ascontiguousarray(y.T), num_threads=self.num_threads)

    def _new_rows(self, X: Csr) -> NDArray[Any]:
        """(x - x Lambda^-1 Xw^T M^-1 Xw) Lambda^-1 for any rows x."""
        dtype = self.matrix.dtype
        inverse = (1.0 / self.ridge).astype(dtype)
        x = X.scipy(dtype)
        scaled = x.copy()
        scaled.data *= inverse[scaled.indices]
        t = sp.csr_matrix(scaled @ self.by_item.scipy(dtype))  # (rows, m)
        if t.nnz < 0.05 * t.shape[0] * t.shape[1]:  # about where the dense product gets ahead
            t.sort_indices()
            csr = Csr(t.indptr.astype(np.int64), t.indices.astype(np.int32), t.data, t.shape)
            y = symmetric_score(csr, self.matrix, self.num_threads)
        else:
            y = symmetric_product(t.toarray(), self.matrix, self.num_threads)
        back = ops.score(self.by_item, np.ascontiguousarray(y.T), num_threads=self.num_threads)
        out = -back.T
        rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
        out[rows, x.indices] += x.data
        out *= inverse
        return np.ascontiguousarray(out)

    def _trained_rows(self, X: Csr) -> NDArray[np.int64]:
        """For every row of X the training row that equals it, or -1."""
        if X is self.X:
            return np.arange(X.shape[0])
        if self._row_hashes is None:
            hashes = _hash_rows(self.X)
            order = np.argsort(hashes, kind="stable")
            self._row_hashes = hashes[order], order
        known, order = self._row_hashes
        mine = _hash_rows(X)
        at = np.minimum(np.searchsorted(known, mine), max(0, len(known) - 1))
        if not len(known):
            return np.full(X.shape[0], -1)
        found = np.where(known[at] == mine, order[at], -1)
        for row in np.flatnonzero(found >= 0):  # a hash may lie
            if not _same_row(X, row, self.X, found[row]):
                found[row] = -1
        return found


def _stages(X: Csr, dtype: Any, num_threads: int, *, built: bool = False) -> Any:
    """The stages of a bar: the Gram matrix of X, unless it is built already, and its inverse."""
    n = X.shape[1]
    return _progress.stages(
        ("Gram matrix", lambda: 0.0 if built else _cost.seconds_gram(_cost.gram_additions(X.indptr), n, num_threads)),
        ("inverse", lambda: _cost.seconds_inverse(n, dtype, num_threads)),
    )


def check_digits(
    c: Vector, ridge: Vector, by_item: Any, columns_of: Callable[[NDArray[Any]], NDArray[Any]], dtype: Any
) -> None:
    """Refuse a diagonal whose digits cancelled: c Lambda = 1 - q/Lambda is tiny where Lambda is tiny beside d.

    The items with the least c Lambda are tried: where (G + Lambda) C e_i misses e_i by r, c_i is wrong by about
    r / (c_i (G + Lambda)_ii) of itself. `by_item` is Xw^T as SciPy has it, and `columns_of` gives columns of C.
    """
    worst = np.argsort(c * ridge, kind="stable")[:4]
    picked = np.arange(len(worst))
    columns = columns_of(worst).astype(np.float64)
    weighted = by_item[worst]
    reached = (weighted @ (by_item.T @ columns))[picked, picked] + ridge[worst] * columns[worst, picked]
    own = weighted.multiply(weighted).sum(axis=1).A1 + ridge[worst]
    wrong = np.abs(reached - 1.0) / np.maximum(1.0, np.abs(c[worst]) * own)
    if not (wrong < 0.02).all():
        item = int(worst[np.argmax(wrong)])
        error = NotPositiveDefiniteError(
            f"form='users' loses its digits for item {item}: l2 (or dropout) is too small beside its interactions "
            f"for {dtype}; take form='items', dtype='float64' or a larger l2"
        )
        error.index = item
        raise error


def storage_of(matrix: Symmetric) -> Storage:
    """How a matrix is stored."""
    if isinstance(matrix, PackedSymmetric):
        return "disk" if isinstance(matrix.values, np.memmap) else "packed"
    return "full"


def gram_matrix(
    X: Csr, user_weights: Vector | None, storage: Storage, dtype: Any, num_threads: int
) -> NDArray[Any] | PackedSymmetric:
    """X^T diag(user_weights) X in any storage."""
    out = PackedSymmetric.on_disk(X.shape[1], dtype) if storage == "disk" else None
    result: NDArray[Any] | PackedSymmetric = ops.gram(
        X, user_weights=user_weights, dtype=dtype, out=out, packed=storage != "full", num_threads=num_threads
    )
    return result


def _add_to_diagonal(matrix: Symmetric, numbers: Any) -> None:
    if isinstance(matrix, PackedSymmetric):
        matrix.add_to_diagonal(numbers)
    else:
        matrix.reshape(-1)[:: len(matrix) + 1] += np.asarray(numbers, dtype=matrix.dtype)


def _matrix_bytes(n: int, itemsize: int, storage: Storage) -> int:
    """Of memory that the inverse of order n takes while it is computed."""
    if storage == "disk":
        return workspace(n, itemsize, disk_tile(n, itemsize))
    numbers = n * n if storage == "full" else PackedSymmetric.length(n, inverse_tile(n))
    return numbers * itemsize + workspace(n, itemsize)


def choose_form(X: Csr, ridge: Vector, form: str, storage: str, dtype: Any) -> tuple[Form, Storage]:
    """What costs least and fits in memory, or what is asked for; an error if that does not fit.

    Packed storage costs the same time, but W is then expanded where it is needed only; so it comes second.
    """
    users, items = X.shape
    dual_ok = bool((ridge > 0).all())  # Woodbury needs Lambda^-1
    if form == "users" and not dual_ok:
        raise ValueError("form='users' needs a positive l2 or dropout, so that Lambda can be inverted")
    forms: list[Form] = ["users", "items"] if users < items else ["items", "users"]
    if not dual_ok:
        forms.remove("users")
    storages: list[Storage] = ["full", "packed", "disk"]
    needed = {
        (f, s): (ItemsInverse if f == "items" else UsersInverse).memory(*X.shape, X.nnz, np.dtype(dtype).itemsize, s)
        for f in forms
        for s in storages
    }
    # A disk is slow, and perhaps full: only when asked for.
    asked = [(f, s) for f, s in needed if form in ("auto", f) and (storage == s or (storage == "auto" and s != "disk"))]
    free = _memory.available_memory()
    chosen = next((c for c in asked if free is None or needed[c] <= free), None)
    if chosen is None:
        chosen = min(asked, key=lambda c: needed[c])
        less = [
            f"form={f!r}, storage={s!r} needs {_memory.readable(bytes_)}"
            for (f, s), bytes_ in needed.items()
            if bytes_ < needed[chosen]
        ]
        _memory.require(
            needed[chosen],
            f"a fit by the {chosen[0]} form, {chosen[1]} ({users} users x {items} items, {np.dtype(dtype).name})",
            "; ".join([*less, "dtype='float32' needs half of float64", f"fewer {chosen[0]} need less (their square)."]),
        )
    return chosen


def build_inverse(
    X: Csr,
    user_weights: Vector | None,
    ridge: Vector,
    *,
    form: str,
    storage: str,
    dtype: Any,
    num_threads: int,
) -> ItemsInverse | UsersInverse:
    """The inverse as `choose_form` takes it."""
    chosen, stored = choose_form(X, ridge, form, storage, dtype)
    _announce(X.shape[chosen == "items"], stored, dtype, num_threads)
    cls = ItemsInverse if chosen == "items" else UsersInverse
    return cls.fit(X, user_weights, ridge, storage=stored, dtype=dtype, num_threads=num_threads)


def _announce(n: int, storage: Storage, dtype: Any, num_threads: int) -> None:
    """Say beforehand how long an inverse of order n will take, where that is worth saying."""
    if n < 5000 and storage != "disk":
        return
    seconds = _cost.seconds_inverse(n, dtype, num_threads)
    if storage != "disk":
        _log.info("inverting a matrix of order %d: about %s", n, _cost.duration(seconds))
        return
    tile = disk_tile(n, np.dtype(dtype).itemsize)
    size = _memory.readable(PackedSymmetric.length(n, tile) * np.dtype(dtype).itemsize)
    _log.warning(
        "inverting a matrix of order %d: about %s of computing; a file of %s is read and written %d times meanwhile",
        n,
        _cost.duration(seconds),
        size,
        -(-n // tile),
    )


def unit_rows(positions: NDArray[Any], n: int) -> Csr:
    """Rows of the identity."""
    count = len(positions)
    return Csr(np.arange(count + 1, dtype=np.int64), positions.astype(np.int32), None, (count, n))


def row_blocks(rows: int, cols: int, itemsize: int, most_rows: int = 512) -> list[tuple[int, int]]:
    """Row ranges whose dense scores take a bounded amount of memory."""
    step = max(1, min(most_rows, int(_BLOCK_BYTES / max(1, cols * itemsize))))
    return [(begin, min(rows, begin + step)) for begin in range(0, rows, step)]


def take_rows(X: Csr, rows: NDArray[np.int64]) -> Csr:
    """Some rows of X (a copy)."""
    part = X.scipy(np.float64 if X.values is None else X.values.dtype)[rows]
    return Csr(
        part.indptr.astype(np.int64),
        part.indices.astype(np.int32, copy=False),
        None if X.values is None else part.data,
        (len(rows), X.shape[1]),
    )


def _hash_rows(X: Csr) -> NDArray[np.uint64]:
    """A 64-bit hash of every row: the sum of a mix of (item, value) over its entries."""
    with np.errstate(over="ignore"):
        mixed = (X.indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= X.dense_values(np.float64).view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        total = np.concatenate([[np.uint64(0)], np.cumsum(mixed, dtype=np.uint64)])
        return np.asarray(total[X.indptr[1:]] - total[X.indptr[:-1]])


def _same_row(X: Csr, i: Any, Y: Csr, j: Any) -> bool:
    a, b = slice(X.indptr[i], X.indptr[i + 1]), slice(Y.indptr[j], Y.indptr[j + 1])
    if not np.array_equal(X.indices[a], Y.indices[b]):
        return False
    ones = np.ones(a.stop - a.start)
    return np.array_equal(ones if X.values is None else X.values[a], ones if Y.values is None else Y.values[b])
