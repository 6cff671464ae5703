"""Columns of codes sorted into rows, several entries of one user and item settled, entries left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..errors import DataError
from .reading import Columns


def into_rows(columns: Columns, shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Row pointers, items ascending within a row, and their ratings or, with timestamps, places; a stable sort.

    Two counting sorts (by item, then by user) take a fifth of the time of sorting every row.
    """
    users, items = columns.users.codes, columns.items.codes
    if columns.timestamps is not None:
        carried: NDArray[Any] = np.arange(len(users), dtype=np.int32 if len(users) < 2**31 else np.int64)
    else:
        carried = np.ones(len(users), np.int8) if columns.ratings is None else columns.ratings
    coo = sp.coo_matrix((carried, (users, items)), shape=shape)
    coo.has_canonical_format = True  # so that SciPy does not add duplicates up
    rows = coo.tocsc().tocsr()
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False), rows.data


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
