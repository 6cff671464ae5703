"""The regularised inverse C = (G + Lambda)^-1 in its two forms.

`ItemsInverse` holds C itself, n x n. `UsersInverse` holds M^-1 = (I + Xw Lambda^-1 Xw^T)^-1, m x m, where Xw is X with
user u's row times the square root of the user's weight; C follows by Woodbury's identity whenever it is asked for:

    C = Lambda^-1 - Lambda^-1 Xw^T M^-1 Xw Lambda^-1,        Xw C = M^-1 Xw Lambda^-1.

The cost of a fit is thus min(users, items)^3. Both answer the same three questions, which is all that the models need.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _memory, ops
from .._sparse import Csr
from ..errors import NotPositiveDefiniteError
from ..ops.score import product, quadratic_diagonal
from ..ops.spd_inverse import invert_in_place, workspace

Form = Literal["items", "users"]
Vector = NDArray[np.float64]

_BLOCK_BYTES = 256e6  # of dense scores at a time


class Inverse(Protocol):
    """What a form of the inverse can do."""

    form: Form

    def diagonal(self) -> Vector:
        """c, the diagonal of C."""

    def product(self, X: Csr) -> NDArray[Any]:
        """X C, dense (rows of X, n)."""


class ItemsInverse:
    """C as a dense n x n matrix."""

    form: Form = "items"

    def __init__(
        self,
        X: Csr,
        user_weights: Vector | None,
        ridge: Vector,
        dtype: Any,
        num_threads: int,
        gram: NDArray[Any] | None = None,
    ) -> None:
        self.num_threads = num_threads
        if gram is None:
            self.matrix = ops.gram(X, user_weights=user_weights, dtype=dtype, num_threads=num_threads)
        else:
            self.matrix = gram.copy()
        self.matrix.reshape(-1)[:: len(ridge) + 1] += ridge.astype(dtype)
        invert_in_place(self.matrix, num_threads)

    @staticmethod
    def memory(users: int, items: int, nnz: int, itemsize: int) -> int:
        """Bytes at the peak of the computation."""
        return items * items * itemsize + workspace(items, itemsize) + 40 * nnz

    def diagonal(self) -> Vector:
        """c, the diagonal of C."""
        return self.matrix.diagonal().astype(np.float64)

    def product(self, X: Csr) -> NDArray[Any]:
        """X C, dense (rows of X, n)."""
        return ops.score(X, self.matrix, num_threads=self.num_threads)


class UsersInverse:
    """M^-1 as a dense m x m matrix, and X beside it."""

    form: Form = "users"

    def __init__(self, X: Csr, user_weights: Vector | None, ridge: Vector, dtype: Any, num_threads: int) -> None:
        users = X.shape[0]
        roots = None if user_weights is None else np.sqrt(user_weights)
        by_item = X.transpose()
        matrix = ops.gram(by_item, user_weights=1.0 / ridge, dtype=dtype, num_threads=num_threads)
        if roots is not None:
            scale = roots.astype(dtype)
            matrix *= scale[:, None]
            matrix *= scale
        matrix.reshape(-1)[:: users + 1] += 1
        invert_in_place(matrix, num_threads)
        self._assign(matrix, X, ridge, roots, by_item, num_threads)

    def _assign(
        self, matrix: NDArray[Any], X: Csr, ridge: Vector, roots: Vector | None, by_item: Csr, num_threads: int
    ) -> None:
        self.matrix, self.X, self.ridge, self.roots, self.num_threads = matrix, X, ridge, roots, num_threads
        # Xw^T by rows: user u's entries times roots[u].
        if roots is not None:
            by_item = by_item._replace(values=by_item.dense_values(np.float64) * roots[by_item.indices])
        if by_item.values is not None:
            by_item = by_item._replace(values=by_item.values.astype(matrix.dtype))
        self.by_item = by_item
        self._row_hashes: tuple[NDArray[np.uint64], NDArray[np.int64]] | None = None

    @classmethod
    def restore(
        cls, matrix: NDArray[Any], X: Csr, ridge: Vector, roots: Vector | None, num_threads: int
    ) -> UsersInverse:
        """The form from what a model file holds."""
        self = cls.__new__(cls)
        self._assign(matrix, X, ridge, roots, X.transpose(), num_threads)
        return self

    @staticmethod
    def memory(users: int, items: int, nnz: int, itemsize: int) -> int:
        """Bytes at the peak of the computation."""
        return users * users * itemsize + workspace(users, itemsize) + 60 * nnz

    def diagonal(self) -> Vector:
        """c_i = 1/Lambda_i - (x_i^T M^-1 x_i)/Lambda_i^2, x_i the column of item i in Xw."""
        q = quadratic_diagonal(self.by_item, self.matrix, self.num_threads)
        c: Vector = 1.0 / self.ridge - q / self.ridge**2
        self._check_digits(c)
        return c

    def _check_digits(self, c: Vector) -> None:
        """Refuse a diagonal whose digits cancelled: c Lambda = 1 - q/Lambda is tiny where Lambda is tiny beside d.

        The items with the least c Lambda are tried: where (G + Lambda) C e_i misses e_i by r, c_i is wrong by about
        r / (c_i (G + Lambda)_ii) of itself.
        """
        worst = np.argsort(c * self.ridge, kind="stable")[:4]
        picked = np.arange(len(worst))
        unit = Csr(np.arange(len(worst) + 1), worst.astype(np.int32), None, (len(worst), len(c)))
        columns = self._new_rows(unit).T.astype(np.float64)
        by_item = self.by_item.scipy(np.float64)
        weighted = by_item[worst]
        reached = (weighted @ (by_item.T @ columns))[picked, picked] + self.ridge[worst] * columns[worst, picked]
        own = weighted.multiply(weighted).sum(axis=1).A1 + self.ridge[worst]
        wrong = np.abs(reached - 1.0) / np.maximum(1.0, np.abs(c[worst]) * own)
        if not (wrong < 0.02).all():
            item = int(worst[np.argmax(wrong)])
            error = NotPositiveDefiniteError(
                f"form='users' loses its digits for item {item}: l2 (or dropout) is too small beside its interactions "
                f"for {self.matrix.dtype}; take form='items', dtype='float64' or a larger l2"
            )
            error.index = item
            raise error

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
            contiguous = (np.diff(users) == 1).all()
            columns = self.matrix[:, users[0] : users[-1] + 1] if contiguous else np.take(self.matrix, users, axis=1)
            scores = ops.score(self.by_item, columns, num_threads=self.num_threads)
            scores *= (1.0 / self.ridge).astype(out.dtype)[:, None]
            if self.roots is not None:
                scores *= (1.0 / self.roots[users]).astype(out.dtype)
            out[trained] = scores.T
        if new.size:
            out[new] = self._new_rows(X if new.size == X.shape[0] else take_rows(X, new))
        return out

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
            y = ops.score(csr, self.matrix, num_threads=self.num_threads)
        else:
            y = product(t.toarray(), self.matrix, self.num_threads)
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


def choose_form(X: Csr, ridge: Vector, form: str, dtype: Any) -> Form:
    """The form that costs less and fits in memory, or the one that is asked for; an error if it does not fit."""
    users, items = X.shape
    itemsize = np.dtype(dtype).itemsize
    needed = {
        "items": ItemsInverse.memory(users, items, X.nnz, itemsize),
        "users": UsersInverse.memory(users, items, X.nnz, itemsize),
    }
    dual_ok = bool((ridge > 0).all())  # Woodbury needs Lambda^-1
    if form == "auto":
        free = _memory.available_memory()
        candidates = ["users", "items"] if users < items and dual_ok else ["items"]
        if "users" not in candidates and dual_ok:
            candidates.append("users")
        fitting = [name for name in candidates if free is None or needed[name] <= free]
        form = fitting[0] if fitting else min(candidates, key=lambda name: needed[name])
    elif form == "users" and not dual_ok:
        raise ValueError("form='users' needs a positive l2 or dropout, so that Lambda can be inverted")
    other = "users" if form == "items" else "items"
    _memory.require(
        needed[form],
        f"a fit by the {form} form ({users} users x {items} items, {np.dtype(dtype).name})",
        f"The {other} form needs {_memory.readable(needed[other])}, dtype='float32' half of float64; fewer "
        f"{form} need less (their square).",
    )
    return "items" if form == "items" else "users"


def build_inverse(
    X: Csr, user_weights: Vector | None, ridge: Vector, *, form: str, dtype: Any, num_threads: int
) -> ItemsInverse | UsersInverse:
    """The inverse in the form that `choose_form` takes."""
    if choose_form(X, ridge, form, dtype) == "items":
        return ItemsInverse(X, user_weights, ridge, dtype, num_threads)
    return UsersInverse(X, user_weights, ridge, dtype, num_threads)


def row_blocks(rows: int, cols: int, itemsize: int) -> list[tuple[int, int]]:
    """Row ranges whose dense scores take a bounded amount of memory."""
    step = max(1, min(512, int(_BLOCK_BYTES / max(1, cols * itemsize))))
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
