"""Columns of codes sorted into rows, several entries of one user and item settled, entries left out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._backend import core_for
from .._threads import resolve_threads
from ..errors import DataError
from .reading import Columns


class Rows(NamedTuple):
    """Entries in the order of rows, items ascending within a row, several of one user and item in the order given."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    ratings: NDArray[Any] | None
    timestamps: NDArray[Any] | None
    n_duplicates: int


def into_rows(columns: Columns, n_users: int, n_items: int) -> Rows:
    """Columns sorted by user, then by item."""
    users, items = columns.users.codes, columns.items.codes
    indptr, indices = np.empty(n_users + 1, np.int64), np.empty(len(users), np.int32)
    given = columns.ratings, columns.timestamps
    ratings, timestamps = (None if one is None else np.empty_like(one) for one in given)
    both = zip(given, (ratings, timestamps), strict=True)
    carried = [(np.ascontiguousarray(one), to) for one, to in both if one is not None]
    same = core_for(users).sort_into_rows(users, items, n_items, indptr, indices, carried, resolve_threads(0))
    return Rows(indptr, indices, ratings, timestamps, same)


def settle(
    same: NDArray[np.bool_],
    ratings: NDArray[Any] | None,
    timestamps: NDArray[Any] | None,
    duplicates: str,
    columns: Columns,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """One of every group of entries (the first, to which others are the same) to keep, and the ratings."""
    if duplicates == "error":
        place = int(np.argmax(same))
        user = columns.users.ids[np.searchsorted(indptr, place, side="right") - 1]
        raise DataError(
            f"user {user!s} has item {columns.items.ids[indices[place]]!s} more than once; "
            "duplicates='last', 'first' or 'sum' settle it"
        )
    starts = np.flatnonzero(~same)
    if duplicates == "sum":
        one = np.ones(len(same), np.float32) if ratings is None else ratings
        summed = np.add.reduceat(one.astype(np.float64), starts).astype(np.float32)
        if timestamps is not None:
            timestamps[starts] = np.maximum.reduceat(timestamps, starts)
        ratings = one.copy()
        ratings[starts] = summed
        return ~same, ratings
    keep = ~same
    inside = same.copy()  # entries that are not alone in their group
    inside[:-1] |= same[1:]
    places = np.flatnonzero(inside)
    first = ~same[places]
    if timestamps is not None:  # else the sort was stable, and groups are in the order of the rows given
        places = places[np.lexsort((places, timestamps[places], np.cumsum(first)))]
    keep[places] = False
    keep[places[first if duplicates == "first" else np.append(first[1:], True)]] = True
    return keep, ratings


def only(
    keep: NDArray[np.bool_], indptr: NDArray[np.int64], indices: NDArray[np.int32], *values: NDArray[Any] | None
) -> tuple[Any, ...]:
    """The entries to keep, with the pointers that they then have."""
    before = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
    return before[indptr], indices[keep], *(None if v is None else v[keep] for v in values)
