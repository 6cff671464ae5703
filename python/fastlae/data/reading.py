"""Files and dataframes to columns of codes, by way of Arrow: no Python object per row.

Ids are read as dictionary-encoded text or encoded after reading, so that a row costs four bytes per id, and only the
distinct ids are looked at one by one.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._names import did_you_mean, listed
from ..errors import DataError
from .ids import Coded, as_ids, classify_text, encode, factorize
from .source import Head, Source, one_line

# Names that columns go by, in lower case without anything but letters; earlier ones are preferred.
_USUAL = {
    "user": ("userid", "user", "uid", "users", "customerid", "customer", "reviewerid", "profileid", "visitorid"),
    "item": (
        *("itemid", "item", "iid", "items", "movieid", "movie", "productid", "product", "asin", "parentasin", "sid"),
        *("songid", "song", "trackid", "artistid", "bookid", "businessid", "locationid", "articleid", "isbn"),
    ),
    "rating": ("rating", "ratings", "stars", "score", "overall", "value", "count", "plays", "playcount", "weight"),
    "timestamp": ("timestamp", "time", "timestamps", "unixreviewtime", "ts", "datetime", "date", "checkintime"),
}
_BLOCK = 4 << 20  # bytes per block of CSV: fewer dictionaries to unify than with the default, and enough to share out
_TYPED = {"auto": "typed"}  # in a Parquet file or a dataframe, text is text because somebody made it so
_DELIMITERS = {".tsv": "\t", ".tab": "\t"}


class Columns(NamedTuple):
    """What is read: ids as codes, ratings (float32) and timestamps (int64 or float64) where there are any."""

    users: Coded
    items: Coded
    ratings: NDArray[Any] | None
    timestamps: NDArray[Any] | None


def need(module: str, what: str, extra: str = "data") -> Any:
    """Import an optional package, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise ImportError(f"{what} needs {package}: pip install 'fastlae[{extra}]'") from None


def choose_columns(names: Sequence[str], wanted: dict[str, Any], where: str) -> dict[str, str]:
    """Which column is which: as asked for, or by its usual name; False asks for none."""
    chosen: dict[str, str] = {}
    for role, wish in wanted.items():
        if wish is False:
            continue
        if isinstance(wish, int) and not isinstance(wish, bool):
            if not 0 <= wish < len(names):
                raise DataError(f"{where}: there is no column {wish}; {len(names)} columns are counted from 0")
            chosen[role] = names[wish]
        elif wish is not None:
            if wish not in names:
                raise DataError(
                    f"{where}: no column {wish!r} for {role}s{did_you_mean(str(wish), names)} "
                    f"(the columns are {listed(names)})"
                )
            chosen[role] = wish
        else:
            plain = {re.sub("[^a-z]", "", name.split(":")[0].lower()): name for name in reversed(names)}
            found = [plain[usual] for usual in _USUAL[role] if usual in plain and plain[usual] not in chosen.values()]
            if found:
                chosen[role] = found[0]
            elif role in ("user", "item"):
                raise DataError(
                    f"{where}: no column for {role}s is named as usual (the columns are {listed(names)}); "
                    f"say which it is with {role}="
                )
    if len(set(chosen.values())) < len(chosen):
        raise DataError(f"{where}: one column was asked for twice: {chosen}")
    return chosen


def read_csv(
    path: str | PathLike[str], wanted: dict[str, Any], *, delimiter: str | None, header: bool, id_type: str
) -> Columns:
    """A text file with one interaction a line."""
    csv = need("pyarrow.csv", "reading CSV")
    pa = need("pyarrow", "reading CSV")
    path = existing(path)
    head = Head(path, pa)
    first = head.first_line
    separator = delimiter or _DELIMITERS.get(_suffix(path)) or max(",\t;|", key=first.count)
    if len(separator) != 1 or not separator.isascii():
        raise DataError(f"delimiter: expected one character, got {separator!r}")
    names = [name.strip().strip('"').removeprefix("\ufeff") for name in first.split(separator)]
    if header and all(_is_number(name) for name in names):
        raise DataError(
            f"{path}, line 1: expected names of columns, got {listed(names)}; without names: header=False, and "
            "user=, item= ... as numbers of columns, counted from 0"
        )
    if not header:
        if len(names) < 2:
            raise DataError(
                f"{path}, line 1: expected a user and an item, got {first!r}; delimiter= is between columns"
            )
        names = [f"column {i}" for i in range(len(names))]
        places = dict(zip(wanted, range(len(names)), strict=False))
        wanted = {role: places.get(role, False) if wish is None else wish for role, wish in wanted.items()}
    if len(set(names)) < len(names):
        raise DataError(f"{path}, line 1: two columns have the same name ({listed(names)})")
    chosen = choose_columns(names, wanted, str(path))
    types = {chosen["rating"]: pa.float32()} if "rating" in chosen else {}

    def read(ids: Any, *, use_threads: bool = True, watch: str = "") -> Any:
        with Source(path, pa, watch) as source:
            table = csv.read_csv(
                source,
                read_options=csv.ReadOptions(
                    use_threads=use_threads, block_size=_BLOCK, column_names=names, skip_rows=int(header)
                ),
                parse_options=csv.ParseOptions(delimiter=separator),
                convert_options=csv.ConvertOptions(
                    include_columns=list(chosen.values()),
                    column_types={chosen["user"]: ids, chosen["item"]: ids, **types},
                ),
            )
            return None if source.odd else table

    table = None
    if id_type != "str" and head.integers([names.index(chosen[role]) for role in ("user", "item")], separator, header):
        # Numbers are read at twice the speed of text; what is not plainly a number makes text of the whole column.
        with contextlib.suppress(pa.ArrowInvalid):
            table = read(pa.int64(), watch=separator)
        if table is not None and any(table[chosen[role]].null_count for role in ("user", "item")):
            table = None
    if table is None:
        encoded = pa.dictionary(pa.int32(), pa.string())
        try:
            table = read(encoded)
        except pa.ArrowInvalid:
            try:
                read(encoded, use_threads=False)  # only a reader from top to bottom knows the number of the line
            except pa.ArrowInvalid as error:
                raise DataError(f"{path}{_csv_problem(str(error), names, header)}") from None
            raise
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read as CSV: {one_line(error)}") from None
    if not table.num_rows:
        raise DataError(f"{path} has no line of data")
    columns = dict(zip(table.column_names, table.columns, strict=True))
    del table
    return _columns(columns, chosen, str(path), id_type, first_line=1 + int(header))


def read_parquet(path: str | PathLike[str], wanted: dict[str, Any], *, id_type: str) -> Columns:
    """A Parquet file with one interaction a row."""
    pa = need("pyarrow", "reading Parquet")
    parquet = need("pyarrow.parquet", "reading Parquet")
    path = existing(path)
    try:
        names = parquet.read_schema(path).names
        chosen = choose_columns(names, wanted, str(path))
        table = parquet.read_table(path, columns=list(chosen.values()))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {one_line(error)}") from None
    columns = dict(zip(table.column_names, table.columns, strict=True))
    del table
    return _columns(columns, chosen, str(path), _TYPED.get(id_type, id_type))


def read_frame(frame: Any, wanted: dict[str, Any], *, id_type: str) -> Columns:
    """Any dataframe that narwhals knows (pandas, Polars, PyArrow, DuckDB ...)."""
    pa = need("pyarrow", "reading a dataframe")
    narwhals = need("narwhals", "reading a dataframe")
    try:
        wrapped = narwhals.from_native(frame)
    except TypeError:
        raise TypeError(f"expected a dataframe (pandas, Polars, PyArrow ...), got {type(frame).__name__}") from None
    if hasattr(wrapped, "collect"):
        wrapped = wrapped.collect()
    names = list(wrapped.columns)
    if odd := [name for name in names if not isinstance(name, str)]:
        raise DataError(f"the dataframe: expected columns named by strings, got {odd[0]!r}: frame.columns.map(str)")
    chosen = choose_columns(names, wanted, "the dataframe")
    columns = {}
    for role, name in chosen.items():
        series = wrapped[name]
        try:
            columns[name] = series.to_arrow()
        except (pa.ArrowException, TypeError):
            if role not in ("user", "item"):
                raise DataError(f"the dataframe, column {name!r}: expected numbers, got {series.dtype}") from None
            columns[name] = as_ids(series.to_list(), f"the dataframe, column {name!r}")
    return _columns(columns, chosen, "the dataframe", _TYPED.get(id_type, id_type))


def _columns(
    table: dict[str, Any], chosen: dict[str, str], where: str, id_type: str, first_line: int | None = None
) -> Columns:
    """Codes and numbers from Arrow columns, which are let go of one by one.

    `first_line` is the line of the first row, in a text file.
    """

    def spot(role: str, row: Any = None) -> str:
        at = "" if row is None else f", line {int(row) + first_line}" if first_line else f", row {int(row)}"
        return f"{where}{at}, column {chosen[role]!r}"

    release = _release(table)
    release()  # what reading needed beside the table
    coded = []
    for role in ("user", "item"):
        column = table.pop(chosen[role])
        coded.append(_coded(column, lambda row=None, role=role: spot(role, row), id_type))
        del column
        release()
    users, items = coded
    if not len(users.codes):
        raise DataError(f"{where} has no rows")
    ratings = timestamps = None
    if "rating" in chosen:
        column = table.pop(chosen["rating"])
        ratings = _numbers(column, lambda row=None: spot("rating", row), dates=False, dtype=np.float32)
        del column
        release()
        if not np.isfinite(ratings.sum(dtype=np.float64)):  # one sum tells, and needs no memory
            finite = np.isfinite(ratings)
            if not finite.all():
                raise DataError(f"{spot('rating', np.argmin(finite))}: missing or infinite rating")
    if "timestamp" in chosen:
        timestamps = _numbers(table.pop(chosen["timestamp"]), lambda row=None: spot("timestamp", row), dates=True)
        release()
        check_timestamps(timestamps, lambda row: spot("timestamp", row))
    return Columns(users, items, ratings, timestamps)


def _release(table: dict[str, Any]) -> Any:
    """A function that makes Arrow give memory back that it keeps for another time; arrays of NumPy need it now."""
    if all(isinstance(column, np.ndarray) for column in table.values()):
        return lambda: None
    pa = importlib.import_module("pyarrow")
    return pa.default_memory_pool().release_unused


def check_timestamps(timestamps: NDArray[Any], spot: Any) -> None:
    """Refuse what is NaN, infinite or negative."""
    if not len(timestamps) or (timestamps.min() >= 0 and timestamps.max() < np.inf):
        return
    bad = ~(timestamps >= 0) | (timestamps == np.inf)
    if bad.any():
        row = np.argmax(bad)
        what = "negative" if timestamps[row] < 0 else "missing or infinite"
        raise DataError(f"{spot(row)}: {what} timestamp ({int(bad.sum())} in all)")


def _coded(column: Any, spot: Any, id_type: str) -> Coded:
    """An Arrow column of ids, or ids that are no Arrow column, as codes with ascending distinct ids."""
    if isinstance(column, np.ndarray):
        return factorize(column)
    pa = importlib.import_module("pyarrow")
    compute = importlib.import_module("pyarrow.compute")
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    from_text = pa.types.is_dictionary(column.type)
    if column.null_count:
        row = compute.index(compute.is_null(column), True).as_py()
        raise DataError(f"{spot(row)}: missing id")
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        raise DataError(f"{spot()}: expected ids that are integers or strings, got {kind}")
    if not (pa.types.is_integer(kind) or _is_text(pa, kind)):
        return factorize(as_ids(column.to_pylist(), spot()))
    if not len(column):
        return Coded(np.empty(0, np.int64), np.empty(0, np.int32))
    if not from_text and id_type != "str" and kind in (pa.int64(), pa.int32(), pa.int16(), pa.int8()):
        pieces = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        if (coded := encode(pieces)) is not None:
            return coded
    column = column.unify_dictionaries() if from_text else column.dictionary_encode()
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in column.chunks]).astype(np.int32, copy=False)
    distinct = column.chunk(0).dictionary
    used = np.zeros(len(distinct), np.bool_)
    used[codes] = True
    if not used.all():  # categories of a frame that was filtered
        distinct, codes = distinct.filter(pa.array(used)), (np.cumsum(used, dtype=np.int32) - 1)[codes]
    if distinct.null_count:
        row = int(np.argmax(codes == compute.index(compute.is_null(distinct), True).as_py()))
        raise DataError(f"{spot(row)}: missing id")
    if not _is_text(pa, kind):
        if kind == pa.uint64() and (compute.max(distinct).as_py() or 0) >= 2**63:
            raise DataError(f"{spot()}: integer ids up to 2**63 - 1 are possible")
        ids: NDArray[Any] = distinct.to_numpy(zero_copy_only=False).astype(np.int64)
        ids = ids.astype(np.str_) if id_type == "str" else ids
    else:
        blank = compute.index(distinct, pa.scalar("", kind)).as_py()
        if blank >= 0:
            raise DataError(f"{spot(np.argmax(codes == blank))}: empty id")
        ids = _text_ids(distinct, spot, id_type, compute, pa)
    if len(ids) and (ids[1:] > ids[:-1]).all():
        return Coded(ids, codes)
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(ids), np.int32)
    rank[order] = np.arange(len(ids), dtype=np.int32)
    return Coded(ids[order], rank[codes])


def _text_ids(distinct: Any, spot: Any, id_type: str, compute: Any, pa: Any) -> NDArray[Any]:
    """Distinct text as ids: numbers where they are plainly that (checked by Arrow), the rest by `classify_text`."""
    if id_type in ("str", "typed"):
        return np.asarray(distinct.to_numpy(zero_copy_only=False).astype(np.str_))
    if compute.all(compute.match_substring_regex(distinct, "^(0|-?[1-9][0-9]{0,17})$")).as_py():
        numbers: NDArray[Any] = distinct.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return numbers
    return classify_text(distinct.to_numpy(zero_copy_only=False).astype(np.str_), spot(), id_type)


def _is_text(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numbers(column: Any, spot: Any, *, dates: bool, dtype: Any = None) -> NDArray[Any]:
    """An Arrow column as numbers: NaN where a value is missing, seconds since 1970 for dates."""
    pa = importlib.import_module("pyarrow")
    if dates and pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if dates and pa.types.is_timestamp(column.type):
        ticks = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.type.unit]
        if column.null_count:
            raise DataError(f"{spot()}: missing date")
        counted = np.asarray(column.cast(pa.int64()).to_numpy())
        seconds: NDArray[Any] = counted // ticks
        return seconds if np.array_equal(seconds * ticks, counted) else np.asarray(counted / ticks)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{spot()}: expected numbers{' or dates' * dates}, got {column.type}")
    pieces = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if dtype is None:
        dtype = np.int64 if pa.types.is_integer(column.type) and not column.null_count else np.float64
    values: NDArray[Any] = np.empty(len(column), dtype)
    end = 0
    for piece in pieces:  # one by one, so that no copy of the whole is made beside this one
        begin, end = end, end + len(piece)
        values[begin:end] = piece.to_numpy(zero_copy_only=False)
    return values


def existing(path: str | PathLike[str]) -> Path:
    """`path`, if there is a file that is not empty."""
    path = Path(path)
    if not path.exists():
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise FileNotFoundError(f"no such file: {path}{near}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    return path


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in (".gz", ".bz2", ".zst") else path.suffix


def _csv_problem(message: str, names: list[str], header: bool) -> str:
    """What pyarrow says, in a user's words: the line, the column and the value."""
    row = re.search(r"Row #(\d+): ?", message)
    line = f", line {int(row.group(1))}" if row else ""
    counts = re.search(r"Expected (\d+) columns, got (\d+)(?:: (.*))?", message, re.DOTALL)
    if counts:
        text = (counts.group(3) or "").strip().splitlines()
        return f"{line}: malformed line, expected {counts.group(1)} columns, got {counts.group(2)}" + (
            f": {text[0][:80]}" if text else ""
        )
    value = re.search(r"CSV conversion error to (\S+): invalid value '(.*)'", message, re.DOTALL)
    if value:
        column = re.search(r"In CSV column #(\d+)", message)
        name = f", column {names[int(column.group(1))]!r}" if column else ""
        return f"{line}{name}: {value.group(2)[:80]!r} is no number"
    return f"{line}: {one_line(message)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
