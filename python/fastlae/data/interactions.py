"""A user's own data: who touched what, under ids of any kind."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _progress
from .._names import did_you_mean
from .._sparse import Csr, apart, as_csr
from ..errors import DataError
from .ids import IdMap, as_ids, factorize
from .reading import Columns, check_timestamps, read_csv, read_frame, read_parquet
from .rows import into_rows, only, settle

if TYPE_CHECKING:
    from .protocols import Split

DUPLICATES = ("last", "first", "sum", "error")

_SURELY_OTHERS = 10  # items of which none is known: they are no new ones, but another catalogue's


class Interactions:
    """Interactions of users with items under the user's own ids.

    Made from columns of ids here, from files and tables by `read`, `from_csv`, `from_parquet`, `from_frame` and
    `from_matrix`. Ids are integers, strings, or any one hashable type; they are numbered in ascending order (other
    hashables in order of appearance), and users and items that no interaction is left of are not numbered at all.

    Parameters
    ----------
    users, items : array_like, (interactions,)
        Ids.
    ratings : array_like of float, (interactions,), optional
    timestamps : array_like of int or float, (interactions,), optional
        From 0 on, as seconds since 1970. Kept for splits by time.
    min_rating : float, optional
        Keep interactions of at least this rating (or sum, or count).
    min_user_items, min_item_users : int
        Keep users with so many items and items with so many users, repeated until both hold.
    duplicates : {"last", "first", "sum", "error"}
        What becomes of several interactions of one user with one item, before `min_rating` is looked at: the last or
        first of them stays (in time where there are timestamps, else in the order given), their ratings are added up
        (without ratings: they are counted), or DataError.
    binary : bool
        Values of the matrix are 1; False: ratings, sums or counts.

    Attributes
    ----------
    user_ids, item_ids : ndarray
        The id of every row and column: int64, strings or objects.
    matrix : csr_matrix of float32, (users, items)
    timestamps : ndarray of int64 or float64, (interactions,), or None
        In the order of ``matrix.data``.
    n_duplicates : int
        Interactions that were given beside another of the same user and item.

    Raises
    ------
    DataError
        Ids of mixed types, missing ids, ratings or timestamps, columns of different lengths, or nothing left.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.Interactions(["ann", "bob", "ann", "eve"], [10, 10, 20, 30], ratings=[5, 4, 2, 5], min_rating=4)
    >>> X
    <Interactions: 3 users x 2 items, 3 interactions>
    >>> X.user_ids.tolist(), X.item_ids.tolist(), X.item_positions([30, 10]).tolist()
    (['ann', 'bob', 'eve'], [10, 30], [1, 0])
    >>> X.matrix.toarray().tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        users: Any,
        items: Any,
        ratings: Any = None,
        timestamps: Any = None,
        *,
        min_rating: float | None = None,
        min_user_items: int = 1,
        min_item_users: int = 1,
        duplicates: str = "last",
        binary: bool = True,
    ) -> None:
        coded = [factorize(as_ids(values, name)) for values, name in ((users, "users"), (items, "items"))]
        numbers = [None if v is None else _vector(v, n) for v, n in ((ratings, "ratings"), (timestamps, "timestamps"))]
        lengths = {"users": len(coded[0].codes), "items": len(coded[1].codes)}
        lengths |= {n: len(v) for n, v in zip(("ratings", "timestamps"), numbers, strict=True) if v is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(f"expected columns of one length, got {', '.join(f'{n} {k}' for n, k in lengths.items())}")
        if numbers[0] is not None and not np.isfinite(numbers[0]).all():
            raise DataError(f"ratings: missing or infinite at position {int(np.argmin(np.isfinite(numbers[0])))}")
        if numbers[1] is not None:
            check_timestamps(numbers[1], lambda row: f"timestamps: position {int(row)}")
        self._assemble(
            Columns(coded[0], coded[1], numbers[0], numbers[1]),
            min_rating=min_rating,
            min_user_items=min_user_items,
            min_item_users=min_item_users,
            duplicates=duplicates,
            binary=binary,
        )

    @classmethod
    def read(cls, path: str | PathLike[str], **options: Any) -> Interactions:
        """Read a file: Parquet by the name's ending (.parquet, .pq), anything else as CSV or TSV.

        Parameters
        ----------
        path : path-like
            Of the file.
        **options
            Of `from_parquet` or `from_csv`.
        """
        if str(path).endswith((".parquet", ".pq")):
            return cls.from_parquet(path, **options)
        return cls.from_csv(path, **options)

    @classmethod
    def from_csv(
        cls,
        path: str | PathLike[str],
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        rating: str | int | bool | None = None,
        timestamp: str | int | bool | None = None,
        delimiter: str | None = None,
        header: bool = True,
        id_type: str = "auto",
        **filters: Any,
    ) -> Interactions:
        r"""Read a text file with one interaction a line (needs the extra ``fastlae[data]``).

        Parameters
        ----------
        path : path-like
            May be compressed (.gz, .bz2, .zst).
        user, item : str or int, optional
            Columns, by name or counted from 0; by default those with a usual name (userId, user_id, movieId, asin ...),
            without a header the first and the second.
        rating, timestamp : str, int or False, optional
            The same; False, or no column with a usual name: none.
        delimiter : str, optional
            By default a tab in .tsv and .tab files, else whichever of comma, tab, semicolon and bar the first line has.
        header : bool
            Whether the first line has names.
        id_type : {"auto", "int", "str"}
            "auto": ids are integers where all of a column are written as such, else strings; digits with zeros in front
            stay strings. A mixture is refused: ask for "str".
        **filters
            `min_rating`, `min_user_items`, `min_item_users`, `duplicates`, `binary`: see `Interactions`.

        Raises
        ------
        DataError
            Naming file, line and column: no CSV, a malformed line, a missing column (with names that are close), ids of
            mixed types, ratings that are no numbers, missing or negative timestamps, no data.
        ImportError
            Without pyarrow.

        Examples
        --------
        >>> import pathlib, tempfile, fastlae
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "ratings.csv"
        ...     _ = file.write_text("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n7,31,5,851868750\n")
        ...     fastlae.Interactions.from_csv(file, min_rating=4)
        <Interactions: 1 users x 1 items, 1 interactions, 1996-12-29 to 1996-12-29>
        """
        _check_id_type(id_type)
        _check_filters(**filters)
        wanted = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
        with _progress.span(f"reading {Path(path).name}"):
            columns = read_csv(path, wanted, delimiter=delimiter, header=header, id_type=id_type)
            return cls._from_columns(columns, filters)

    @classmethod
    def from_parquet(
        cls,
        path: str | PathLike[str],
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        rating: str | int | bool | None = None,
        timestamp: str | int | bool | None = None,
        id_type: str = "auto",
        **filters: Any,
    ) -> Interactions:
        """Read a Parquet file with one interaction a row; arguments as of `from_csv`.

        Ids have the type of their column: text is not turned into integers, unless ``id_type="int"``.
        """
        _check_id_type(id_type)
        _check_filters(**filters)
        wanted = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
        return cls._from_columns(read_parquet(path, wanted, id_type=id_type), filters)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        user: str | int | None = None,
        item: str | int | None = None,
        rating: str | int | bool | None = None,
        timestamp: str | int | bool | None = None,
        id_type: str = "auto",
        **filters: Any,
    ) -> Interactions:
        """From a dataframe of pandas, Polars, PyArrow or what else narwhals knows; arguments as of `from_parquet`."""
        _check_id_type(id_type)
        _check_filters(**filters)
        wanted = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
        return cls._from_columns(read_frame(frame, wanted, id_type=id_type), filters)

    @classmethod
    def from_matrix(
        cls,
        matrix: Any,
        *,
        user_ids: Any = None,
        item_ids: Any = None,
        min_rating: float | None = None,
        min_user_items: int = 0,
        min_item_users: int = 0,
        binary: bool = False,
    ) -> Interactions:
        """From a scipy sparse matrix, users x items; ids are positions unless they are given.

        Unlike the other ways, rows and columns without interactions stay (ask for a minimum of 1 to drop them), and so
        do values (`binary`). Duplicates are summed, as SciPy does.
        """
        _check_filters(min_rating=min_rating, min_user_items=min_user_items, min_item_users=min_item_users)
        csr = apart(as_csr(matrix, "matrix"), matrix)
        ids: list[NDArray[Any]] = []
        for given, name, size in ((user_ids, "user_ids", csr.shape[0]), (item_ids, "item_ids", csr.shape[1])):
            ids.append(np.arange(size) if given is None else as_ids(given, name))
            if len(ids[-1]) != size:
                raise DataError(f"{name}: expected {size} ids, one per {name[:4]}, got {len(ids[-1])}")
        made = cls.__new__(cls)
        made._set(csr, None, ids[0], ids[1], n_duplicates=0)
        made._filter(min_rating, min_user_items, min_item_users, binary)
        return made

    @classmethod
    def _from_columns(cls, columns: Columns, filters: dict[str, Any]) -> Interactions:
        made = cls.__new__(cls)
        made._assemble(columns, **filters)
        return made

    @classmethod
    def _from_parts(
        cls, csr: Csr, timestamps: NDArray[Any] | None, user_ids: NDArray[Any], item_ids: NDArray[Any]
    ) -> Interactions:
        made = cls.__new__(cls)
        made._set(csr, timestamps, user_ids, item_ids, n_duplicates=0)
        return made

    def _set(
        self,
        csr: Csr,
        timestamps: NDArray[Any] | None,
        user_ids: NDArray[Any],
        item_ids: NDArray[Any],
        n_duplicates: int,
    ) -> None:
        self._csr, self.timestamps, self.n_duplicates = csr, timestamps, n_duplicates
        self._users, self._items = IdMap(user_ids, "user"), IdMap(item_ids, "item")

    def _assemble(
        self,
        columns: Columns,
        *,
        min_rating: float | None = None,
        min_user_items: int = 1,
        min_item_users: int = 1,
        duplicates: str = "last",
        binary: bool = True,
    ) -> None:
        """Sort into rows, settle duplicates, filter."""
        _check_filters(min_rating, min_user_items, min_item_users, duplicates)
        if min_rating is not None and columns.ratings is None and duplicates != "sum":
            raise DataError("min_rating: there are no ratings; name their column, or count with duplicates='sum'")
        shape = len(columns.users.ids), len(columns.items.ids)
        if binary and min_rating is None and columns.ratings is not None and columns.ratings.all():
            columns = columns._replace(ratings=None)  # nobody will look at them: they need not be sorted
        indptr, indices, ratings, timestamps, n_duplicates = into_rows(columns, *shape)
        ids = columns.users.ids, columns.items.ids
        if n_duplicates:
            same = np.zeros(len(indices), np.bool_)  # as the entry before
            same[1:] = indices[1:] == indices[:-1]
            same[indptr[:-1][np.diff(indptr) > 0]] = False
            keep, ratings = settle(same, ratings, timestamps, duplicates, columns, indptr, indices)
            indptr, indices, ratings, timestamps = only(keep, indptr, indices, ratings, timestamps)
        del columns  # as large as what is made of it
        values = None if ratings is None or (ratings == 1).all() else ratings.astype(np.float32, copy=False)
        csr = Csr(indptr, indices, values, shape)
        self._set(csr, timestamps, *ids, n_duplicates)
        self._filter(min_rating, max(1, min_user_items), max(1, min_item_users), binary, all_occur=True)

    def _filter(
        self,
        min_rating: float | None,
        min_user_items: int,
        min_item_users: int,
        binary: bool,
        *,
        all_occur: bool = False,  # every user and item has an interaction: nothing to look for
    ) -> None:
        indptr, indices, values, shape = self._csr
        timestamps, user_ids, item_ids = self.timestamps, self.user_ids, self.item_ids
        if min_rating is not None or (values is not None and (values == 0).any()):
            ratings = self._csr.dense_values(np.float32)
            # As a number of Python's: one of NumPy's would be compared in double with what was rounded to float32.
            keep = ratings >= float(min_rating) if min_rating is not None else ratings != 0
            if min_rating is not None and not binary:
                keep &= ratings != 0
            indptr, indices, values, timestamps = only(keep, indptr, indices, values, timestamps)
            all_occur = False
        while not (all_occur and max(min_user_items, min_item_users) <= 1):
            users = np.diff(indptr) >= min_user_items
            items = np.bincount(indices, minlength=shape[1]) >= min_item_users
            if users.all() and items.all():
                break
            keep = np.repeat(users, np.diff(indptr))
            if not items.all():
                keep &= items[indices]
            if not keep.all():
                indptr, indices, values, timestamps = only(keep, indptr, indices, values, timestamps)
            indptr = np.concatenate([indptr[:1], indptr[1:][users]])
            if not items.all():
                indices = (np.cumsum(items, dtype=np.int32) - np.int32(1))[indices]
            user_ids, item_ids = user_ids[users], item_ids[items]
            shape = len(user_ids), len(item_ids)
        if not len(indices):
            wishes = {"min_rating": min_rating, "min_user_items": min_user_items, "min_item_users": min_item_users}
            asked = ", ".join(f"{name}={value}" for name, value in wishes.items() if value not in (None, 0, 1))
            raise DataError(f"no interaction is left{f' with {asked}' if asked else ''}")
        self._set(
            Csr(indptr, indices, None if binary else values, shape), timestamps, user_ids, item_ids, self.n_duplicates
        )

    # What is in it.

    @property
    def user_ids(self) -> NDArray[Any]:
        """The id of every row."""
        return self._users.ids

    @property
    def item_ids(self) -> NDArray[Any]:
        """The id of every column."""
        return self._items.ids

    @cached_property
    def matrix(self) -> sp.csr_matrix[Any]:
        """Users x items, float32."""
        return self._csr.scipy(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        return self._csr.shape

    @property
    def nnz(self) -> int:
        """Number of interactions."""
        return self._csr.nnz

    def __len__(self) -> int:
        return self.nnz

    def __repr__(self) -> str:
        text = f"<Interactions: {self.shape[0]:,} users x {self.shape[1]:,} items, {self.nnz:,} interactions"
        if self.timestamps is not None and self.nnz:
            ends = self.timestamps.min(), self.timestamps.max()
            if ends[1] < 2**33:  # seconds; else milliseconds or whatever else counts on
                text += f", {' to '.join(str(np.datetime64(int(t), 's')).split('T')[0] for t in ends)}"
            else:
                text += f", timestamps {ends[0]} to {ends[1]}"
        return text + ">"

    def user_positions(self, ids: Any) -> NDArray[np.int64]:
        """Rows of users, one or several; UnknownIdError names those that are not there and ids that are close."""
        return self._users.positions(ids)

    def item_positions(self, ids: Any) -> NDArray[np.int64]:
        """Columns of items, one or several; UnknownIdError names those that are not there and ids that are close."""
        return self._items.positions(ids)

    def select(self, users: Any) -> Interactions:
        """The interactions of some users, by ids, in their order; the items stay as they are."""
        return self._rows(self.user_positions(users))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Columns "user", "item", "value" and, where there are any, "timestamp", by user and item; for any dataframe.

        Examples
        --------
        >>> import fastlae
        >>> fastlae.Interactions(["b", "a"], [1, 2]).to_arrays()["user"].tolist()
        ['a', 'b']
        """
        columns = {
            "user": np.repeat(self.user_ids, np.diff(self._csr.indptr)),
            "item": self.item_ids[self._csr.indices],
            "value": self._csr.dense_values(np.float32),
        }
        return columns if self.timestamps is None else columns | {"timestamp": self.timestamps}

    def equals(self, other: Any) -> bool:
        """Whether `other` has the same ids, interactions, values and timestamps."""
        if not isinstance(other, Interactions) or self.shape != other.shape or self.nnz != other.nnz:
            return False
        pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
            (self.user_ids, other.user_ids),
            (self.item_ids, other.item_ids),
            (self._csr.indptr, other._csr.indptr),
            (self._csr.indices, other._csr.indices),
            (self._csr.dense_values(np.float32), other._csr.dense_values(np.float32)),
        ]
        if (self.timestamps is None) != (other.timestamps is None):
            return False
        if self.timestamps is not None and other.timestamps is not None:
            pairs.append((self.timestamps, other.timestamps))
        return all(a.dtype.kind == b.dtype.kind and bool(np.array_equal(a, b)) for a, b in pairs)

    def align(self, item_ids: Any, user_ids: Any = None) -> Interactions:
        """The same interactions with the columns `item_ids`, and the rows `user_ids` if given.

        What concerns other items or users is left out; users and items that have nothing here are empty.

        Raises
        ------
        DataError
            If none of the items is among `item_ids`, and they are ten or more or of another type: then ids of another
            catalogue were given. (A new user may well have new items only.) If no user is known here.
        """
        items = IdMap(as_ids(item_ids, "item_ids"), "item")
        result = self
        if not _same_ids(self._items, items):
            new = items.find(self.item_ids)
            alike = self.item_ids.dtype.kind == items.ids.dtype.kind
            if len(items) and (new < 0).all() and len(new) >= (_SURELY_OTHERS if alike else 1):
                raise DataError(
                    f"none of the {len(new)} items is among the {len(items)} known ones "
                    f"(such as {self.item_ids[0]!s} here, {items.ids[0]!s} there)"
                )
            indptr, indices, values, timestamps = only(
                new[self._csr.indices] >= 0, self._csr.indptr, self._csr.indices, self._csr.values, self.timestamps
            )
            indices = new[indices].astype(np.int32)
            order = np.lexsort((indices, np.repeat(np.arange(self.shape[0]), np.diff(indptr))))
            csr = Csr(indptr, indices[order], None if values is None else values[order], (self.shape[0], len(items)))
            times = None if timestamps is None else timestamps[order]
            result = Interactions._from_parts(csr, times, self.user_ids, items.ids)
        if user_ids is None:
            return result
        users = as_ids(user_ids, "user_ids")
        rows = self._users.find(users)
        if (rows < 0).all() and len(rows):
            raise DataError(f"none of the {len(rows)} users is among the {len(self._users)} known ones")
        return result._rows(rows, users)

    def split(self, protocol: str = "strong", *, seed: int = 0, **options: Any) -> Split:
        """Cut into parts to train, to validate and to test on; see `fastlae.data.split`.

        Examples
        --------
        >>> import fastlae
        >>> X = fastlae.Interactions.from_matrix(fastlae.data.make_interactions(n_users=200, n_items=50))
        >>> X.split("strong", seed=7)
        <Split strong, seed 7: train 160 users, validation 20, test 20, 50 items>
        """
        from .protocols import split

        return split(self, protocol, seed=seed, **options)

    def _places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pointers of rows in a new order (-1 is an empty row), and where their entries are stored."""
        sizes = np.where(rows < 0, 0, np.diff(self._csr.indptr)[rows]) if self.shape[0] else np.zeros_like(rows)
        indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return indptr, np.repeat(self._csr.indptr[rows] - indptr[:-1], sizes) + np.arange(indptr[-1])

    def _csr_at(self, rows: NDArray[np.int64]) -> Csr:
        """Rows in a new order, which may repeat."""
        indptr, places = self._places(rows)
        values = None if self._csr.values is None else self._csr.values[places]
        return Csr(indptr, self._csr.indices[places], values, (len(rows), self.shape[1]))

    def _csr_of(self, user_ids: NDArray[Any]) -> Csr:
        """The rows of users, empty for those that are not there."""
        return self._csr_at(self._users.find(user_ids))

    def _rows(self, rows: NDArray[np.int64], user_ids: NDArray[Any] | None = None) -> Interactions:
        """Rows in a new order; -1 is an empty row."""
        times = None if self.timestamps is None else self.timestamps[self._places(rows)[1]]
        names = self.user_ids[rows] if user_ids is None else user_ids
        return Interactions._from_parts(self._csr_at(rows), times, names, self.item_ids)

    def _without_timestamps(self) -> Interactions:
        if self.timestamps is None:
            return self
        return Interactions._from_parts(self._csr, None, self.user_ids, self.item_ids)

    def _without_users(self) -> Interactions:
        csr = Csr(np.zeros(1, np.int64), np.empty(0, np.int32), None, (0, self.shape[1]))
        return Interactions._from_parts(csr, None, self.user_ids[:0], self.item_ids)


def _same_ids(a: IdMap, b: IdMap) -> bool:
    return a.ids is b.ids or (a.ids.dtype.kind == b.ids.dtype.kind and bool(np.array_equal(a.ids, b.ids)))


def _vector(values: Any, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected a vector of numbers, got {array.dtype} with {array.ndim} dimension(s)")
    if name == "ratings":
        return array.astype(np.float32)
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _check_id_type(id_type: Any) -> None:
    if id_type not in ("auto", "int", "str"):
        raise ValueError(f"id_type: expected 'auto', 'int' or 'str', got {id_type!r}")


def _check_filters(
    min_rating: Any = None, min_user_items: Any = 1, min_item_users: Any = 1, duplicates: Any = "last", binary: Any = 1
) -> None:
    """Before a large file is read."""
    if duplicates not in DUPLICATES:
        raise ValueError(
            f"duplicates: expected one of {', '.join(DUPLICATES)}, got {duplicates!r}"
            f"{did_you_mean(str(duplicates), DUPLICATES)}"
        )
    for value, name in ((min_user_items, "min_user_items"), (min_item_users, "min_item_users")):
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
            raise ValueError(f"{name}: expected a whole number of at least 0, got {value!r}")
    number = isinstance(min_rating, (int, float, np.integer, np.floating)) and np.isfinite(min_rating)
    if min_rating is not None and not number:
        raise ValueError(f"min_rating: expected a number, got {min_rating!r}")
