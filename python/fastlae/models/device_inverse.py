"""The two forms of the inverse on a CUDA device, in full storage; the mathematics is that of inverse.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._arrays import DeviceCsr, Place, place_of, transfer
from .._backend import cuda
from .._sparse import Csr
from ..ops import device
from .inverse import Form, ItemsInverse, Storage, UsersInverse, Vector, check_digits, unit_rows


class DeviceItemsInverse:
    """C as an n x n matrix on the device."""

    form: Form = "items"
    storage: Storage = "full"

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix

    @classmethod
    def fit(cls, X: DeviceCsr, user_weights: Vector | None, ridge: Vector, dtype: Any, gram: Any = None) -> Any:
        """From interactions, or from their Gram matrix if that is at hand (it is copied)."""
        if gram is None:
            matrix = ops.gram(X, user_weights=user_weights, dtype=dtype)
        else:
            matrix = X.place.empty(tuple(gram.shape), dtype)
            matrix[...] = gram
        return cls.of_gram(matrix, ridge)

    @classmethod
    def of_gram(cls, matrix: Any, ridge: Vector) -> DeviceItemsInverse:
        """In the memory of a Gram matrix."""
        device.add_to_diagonal(matrix, ridge)
        device.invert_in_place(matrix)
        return cls(matrix)

    def diagonal(self) -> Vector:
        """c, the diagonal of C."""
        return np.asarray(device.diagonal(self.matrix))

    def product(self, X: DeviceCsr) -> Any:
        """X C, dense (rows of X, n)."""
        return device.score(X, self.matrix)

    def to_host(self, num_threads: int) -> ItemsInverse:
        """The same on the host."""
        return ItemsInverse(_to_host(self.matrix), num_threads)


class DeviceUsersInverse:
    """M^-1 as a dense m x m matrix on the device, and X beside it."""

    form: Form = "users"
    storage: Storage = "full"

    def __init__(self, matrix: Any, X: DeviceCsr, ridge: Vector, roots: Vector | None) -> None:
        self.matrix, self.X, self.ridge, self.roots = matrix, X, ridge, roots
        place, self.dtype = X.place, X.library.dtype(matrix)
        by_item = X.transpose()
        self.root = None if roots is None else place.from_host(roots, self.dtype)
        self.by_item = by_item if self.root is None else by_item.scaled(self.root)  # Xw^T by rows
        self.inverse_ridge = place.from_host(1.0 / ridge, self.dtype)
        n = X.shape[1]
        self.unit = transfer(unit_rows(np.arange(n), n), place, self.dtype)

    @classmethod
    def fit(cls, X: DeviceCsr, user_weights: Vector | None, ridge: Vector, dtype: Any) -> DeviceUsersInverse:
        """From interactions."""
        roots = None if user_weights is None else np.sqrt(user_weights)
        matrix = ops.gram(X.transpose(), user_weights=1.0 / ridge, dtype=dtype)
        if roots is not None:
            scale = X.place.from_host(roots, dtype)
            matrix *= scale[:, None]
            matrix *= scale
        device.add_to_diagonal(matrix, np.ones(X.shape[0]))
        device.invert_in_place(matrix)
        return cls(matrix, X, ridge, roots)

    def diagonal(self) -> Vector:
        """c_i = 1/Lambda_i - (x_i^T M^-1 x_i)/Lambda_i^2, x_i the column of item i in Xw."""
        q = device.quadratic_diagonal(self.by_item, self.matrix)
        c: Vector = 1.0 / self.ridge - q / self.ridge**2
        check_digits(c, self.ridge, self.by_item.to_host().scipy(np.float64), self._columns_on_host, self.dtype)
        return c

    def _columns_on_host(self, positions: NDArray[Any]) -> NDArray[Any]:
        unit = transfer(unit_rows(positions, self.X.shape[1]), self.X.place, self.dtype)
        return _to_host(self.product(unit)).T

    def product(self, X: DeviceCsr) -> Any:
        """(x - x Lambda^-1 Xw^T M^-1 Xw) Lambda^-1 for any rows x: X C, dense (rows of X, n)."""
        t = device.score_sparse(X.scaled(self.inverse_ridge), self.by_item, self.dtype)
        y = device.product(t, self.matrix)
        back = device.score(self.by_item, X.library.contiguous(y.T))
        out = self.dense(X)
        out -= back.T
        out *= self.inverse_ridge
        return out

    def trained(self, users: NDArray[np.int64]) -> Any:
        """Rows of X C for users that were trained on, without a product with M^-1; `users` ascend."""
        # Rows of D^-1/2 M^-1 Xw Lambda^-1, as columns of Xw^T M^-1.
        begin, end = int(users[0]), int(users[-1]) + 1
        place = self.X.place
        if len(users) == end - begin:
            columns, root = self.matrix[:, begin:end], None if self.root is None else self.root[begin:end]
        else:
            there = place.from_host(users, np.int64)
            columns = place.library.contiguous(self.matrix[:, there])
            root = None if self.root is None else self.root[there]
        scores = device.score(self.by_item, columns)
        scores *= self.inverse_ridge[:, None]
        if root is not None:
            scores /= root
        return place.library.contiguous(scores.T)

    def can_scale_back(self) -> bool:
        """Whether `trained` may be asked: a row of hardly any weight cannot be scaled back."""
        return self.roots is None or not self.roots.size or bool(self.roots.min() >= 1e-10)

    def is_training(self, X: DeviceCsr) -> bool:
        """Whether X is what was trained on; waits."""
        if X.shape != self.X.shape or X.nnz != self.X.nnz or (X.values is None) != (self.X.values is None):
            return False
        pairs = [pair for pair in zip(X[:3], self.X[:3], strict=True) if pair[0] is not None]
        return all(bool((one == other).all()) for one, other in pairs)

    def columns(self, begin: int, end: int) -> Any:
        """C[:, begin:end], on the host."""
        return self._columns_on_host(np.arange(begin, end))

    def dense(self, X: DeviceCsr) -> Any:
        """X as a dense matrix."""
        return device.score_sparse(X, self.unit, self.dtype)

    def to_host(self, num_threads: int) -> UsersInverse:
        """The same on the host."""
        return UsersInverse(_to_host(self.matrix), self.X.to_host(), self.ridge, self.roots, num_threads)


DeviceInverse = DeviceItemsInverse | DeviceUsersInverse


def _to_host(array: Any) -> NDArray[Any]:
    place = place_of(array)
    assert place is not None
    return place.library.to_host(array)


def to_device(inverse: UsersInverse, place: Place) -> DeviceUsersInverse:
    """An inverse of the host, in full storage, on a device."""
    matrix: Any = inverse.matrix
    place.require(matrix.nbytes, f"an inverse of order {len(matrix)}", "The host may have more.")
    X = transfer(inverse.X, place, matrix.dtype)
    return DeviceUsersInverse(place.from_host(matrix, matrix.dtype), X, inverse.ridge, inverse.roots)


def needed_memory(form: Form, users: int, items: int, nnz: int, itemsize: int) -> int:
    """Bytes at the peak of a fit: the inverse with its panels, or the Gram matrix's workspace; and X, perhaps twice."""
    n, by = (items, users) if form == "items" else (users, items)
    panels = cuda().spd_inverse_workspace(n, cuda().inverse_tile(n), itemsize, False)
    gram = cuda().gram_workspace(by, n, nnz)
    return int(n * n * itemsize + max(panels, gram) + 8 * users + (8 if form == "items" else 48) * nnz)


def choose_form(users: int, items: int, nnz: int, ridge: Vector | None, form: str, dtype: Any, place: Place) -> Form:
    """What costs least and fits on the device, or what is asked for; an error if that does not fit.

    Before `ridge` is known (None), Lambda is taken to be positive.
    """
    dual_ok = ridge is None or bool((ridge > 0).all())
    if form == "users" and not dual_ok:
        raise ValueError("form='users' needs a positive l2 or dropout, so that Lambda can be inverted")
    forms: list[Form] = ["users", "items"] if users < items else ["items", "users"]
    asked = [f for f in forms if form in ("auto", f) and (f == "items" or dual_ok)]
    needed = {f: needed_memory(f, users, items, nnz, dtype.itemsize) for f in asked}
    free = place.library.free_memory(place.device)
    for chosen in asked:
        if needed[chosen] <= free:
            return chosen
    least: Form = min(asked, key=lambda f: needed[f])
    place.require(
        needed[least],
        f"a fit of {users} users x {items} items in {dtype.name} by the {least} form",
        f"{'float32 needs half; ' if dtype.itemsize == 8 else ''}fewer {least} need less (their square).",
    )
    return least


class DeviceEngine:
    """What a sweep computes for one X, on a device: inverses, and lists made with them."""

    def __init__(self, X: Csr, asked: Csr, users: NDArray[np.int64], dtype: Any, place: Place) -> None:
        self.place, self.dtype, self.users = place, dtype, users
        self.X = transfer(X, place, dtype)
        # Rows asked for of those that were trained on are told by their place in X.
        self.known = asked is X or (_same_rows(asked, X, users))
        self.asked = self.X if asked is X else transfer(asked, place, dtype)
        self.power: float | None = None
        self.kept: Any = None

    def inverse(self, weights: Any, power: float, ridge: Vector, form: str) -> DeviceInverse:
        """The inverse for one Lambda; the Gram matrix is kept between them where memory is plentiful."""
        with self.place.current():
            return self._inverse(weights, power, ridge, form)

    def _inverse(self, weights: Any, power: float, ridge: Vector, form: str) -> DeviceInverse:
        X, place = self.X, self.place
        if self.power != power:
            self.kept, self.power = None, power
        chosen = choose_form(*X.shape, X.nnz, ridge, form, self.dtype, place)
        if chosen == "users":
            return DeviceUsersInverse.fit(X, weights, ridge, self.dtype)
        square = X.shape[1] ** 2 * self.dtype.itemsize
        if self.kept is None and 4 * square < place.library.free_memory(place.device):
            self.kept = ops.gram(X, user_weights=weights, dtype=self.dtype)
        inverse: DeviceItemsInverse = DeviceItemsInverse.fit(X, weights, ridge, self.dtype, self.kept)
        return inverse

    def rank(self, inverse: Any, scales: list[Any], never: Any, k: int) -> list[Any]:
        """The k best items of every row asked for, for every column scaling of X C, seen items masked."""
        known = self.known and isinstance(inverse, DeviceUsersInverse) and inverse.can_scale_back()

        def scores_of(rows: DeviceCsr, begin: int, end: int) -> Any:
            return inverse.trained(self.users[begin:end]) if known else inverse.product(rows)

        n = self.X.shape[1]
        hidden = device.hiding(self.asked, n, exclude_seen=True, never=never)
        there = [self.place.from_host(scale, self.dtype) for scale in scales]
        with self.place.current():
            found = device.rank(self.asked, scores_of, hidden, k=k, scales=there, dtype=self.dtype)
        return [self.place.library.to_host(items) for items, _ in found]


def _same_rows(asked: Csr, X: Csr, users: NDArray[np.int64]) -> bool:
    """Whether the rows of `asked` are those of `users` in X."""
    if (users >= X.shape[0]).any() or (asked.values is None) != (X.values is None):
        return False
    counts = np.diff(X.indptr)[users]
    if asked.shape != (len(users), X.shape[1]) or not np.array_equal(counts, np.diff(asked.indptr)):
        return False
    entries = np.repeat(X.indptr[users] - asked.indptr[:-1], counts) + np.arange(asked.nnz)
    if X.values is not None and asked.values is not None and not np.array_equal(X.values[entries], asked.values):
        return False
    return np.array_equal(X.indices[entries], asked.indices)
