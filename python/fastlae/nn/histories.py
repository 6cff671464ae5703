"""What users did, in the order of time, as sequence models take it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._sparse import Csr
from ..data.interactions import Interactions
from ..errors import DataError


class Histories(NamedTuple):
    """Rows of users: what they have, in the order of items (csr) and of time (items).

    `users` is int64 (rows,): positions among the users of the training, -1 for others; `items` is int32 (nnz,): the
    items of row u, oldest first, lie where csr.indptr says.
    """

    csr: Csr
    users: NDArray[np.int64]
    items: NDArray[np.int32]

    def last(self, length: int) -> NDArray[np.int64]:
        """The last `length` items of every row, oldest first, -1 before the first one; (rows, length)."""
        ends = self.csr.indptr[1:, None] + np.arange(-length, 0)
        return self._at(ends, self.csr.indptr[:-1, None])

    def before(self, places: NDArray[np.int64], rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """The `length` items before each of some places in `items`, which belong to `rows`."""
        return self._at(places[:, None] + np.arange(-length, 0), self.csr.indptr[rows][:, None])

    def _at(self, places: NDArray[np.int64], begins: NDArray[np.int64]) -> NDArray[np.int64]:
        inside = places >= begins
        if not len(self.items):
            return np.full(inside.shape, -1, np.int64)
        return np.where(inside, self.items[np.maximum(places, 0)].astype(np.int64), -1)

    def part(self, begin: int, end: int) -> Histories:
        """Rows begin to end."""
        first, last = int(self.csr.indptr[begin]), int(self.csr.indptr[end])
        return Histories(self.csr.rows(begin, end), self.users[begin:end], self.items[first:last])


def histories(X: Any, users: NDArray[np.int64], what: str) -> Histories:
    """Histories of the rows of an `Interactions`; items of one time keep the order of their positions.

    `what` names the model in errors.
    """
    if not isinstance(X, Interactions):
        raise DataError(
            f"X: {what} goes by the order of what users did: expected a fastlae.Interactions with timestamps, "
            f"got {type(X).__name__}"
        )
    if X.timestamps is None:
        raise DataError(f"X: {what} goes by the order of what users did, and the interactions have no timestamps")
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X._csr.indptr))
    return Histories(X._csr, users, X._csr.indices[np.lexsort((X.timestamps, rows))])


def training_places(histories: Histories, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in `items` to train on, with their rows: those that `length` items go before.

    Of a row of at most `length` items, the last, if anything goes before it.
    """
    indptr = histories.csr.indptr
    count = np.diff(indptr)
    rows = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(rows)) - indptr[rows]
    wanted = (rank >= np.minimum(length, count[rows] - 1)) & (rank > 0)
    return np.flatnonzero(wanted), rows[wanted]


def negatives(csr: Csr, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An item for each of `rows`, uniformly among those that the row does not have.

    Every row lacks at least one.
    """
    n = csr.shape[1]
    stored = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)) * n + csr.indices
    free = n - np.diff(csr.indptr)[rows]
    rank = rng.integers(0, free)  # the so-and-so-many-th item that the row lacks
    # It is rank + (items of the row up to it): counted by bisection over `stored - place`, which ascends in a row.
    shifted = stored - (np.arange(len(stored)) - np.repeat(csr.indptr[:-1], np.diff(csr.indptr)))
    width = np.int64(n + 1)
    row_of = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    keys = row_of * width + (shifted - row_of * n)
    below = np.searchsorted(keys, rows * width + rank, side="right") - csr.indptr[rows]
    return np.asarray(rank + below, np.int64)
