"""Names of items, from a file such as movies.csv."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._names import did_you_mean, listed
from ..data.ids import IdMap
from ..data.reading import choose_columns, existing, need
from ..errors import DataError, UnknownIdError

_USUAL = ("title", "name", "names", "movietitle", "itemname", "productname", "track", "description")


class Names:
    """Ids of items to names and back.

    Parameters
    ----------
    known : IdMap
        Of the items of a model.
    path, id_column, name_column : str, optional
        A CSV, TSV or Parquet file and its columns, by default those with usual names. Without a file there are no
        names.
    """

    def __init__(
        self, known: IdMap, path: str | None, id_column: str | None = None, name_column: str | None = None
    ) -> None:
        self.known = known
        self.names: dict[Any, str] = {}
        if path is None:
            return
        table, separator_names = _read(path)
        id_column = choose_columns(separator_names, {"item": id_column}, path)["item"]
        if name_column is None:
            plain = {re.sub("[^a-z]", "", n.split(":")[0].lower()): n for n in reversed(separator_names)}
            name_column = next((plain[usual] for usual in _USUAL if usual in plain), None)
            if name_column is None:
                raise DataError(
                    f"{path}: no column is named as usual for names (the columns are {listed(separator_names)}); "
                    "say which it is with --name-column"
                )
        elif name_column not in separator_names:
            raise DataError(f"{path}: no column {name_column!r}{did_you_mean(name_column, separator_names)}")
        for one, name in zip(table[id_column].to_pylist(), table[name_column].to_pylist(), strict=True):
            if one is not None and name is not None:
                self.names[str(one)] = str(name)

    def __bool__(self) -> bool:
        return bool(self.names)

    def of(self, ids: NDArray[Any]) -> NDArray[Any]:
        """The name of every id, empty where there is none."""
        return np.array([self.names.get(str(one), "") for one in ids.tolist()], dtype=np.str_)

    def label(self, one: Any) -> str:
        """An id with its name, for a sentence."""
        name = self.names.get(str(one))
        return f"{one} ({name})" if name else str(one)

    def find(self, texts: list[str]) -> list[Any]:
        """Ids from what was typed: ids, or names as they stand in the file."""
        by_name: dict[str, str] = {}
        for one, name in self.names.items():
            by_name.setdefault(name.lower(), one)
        found = []
        for text in texts:
            one = typed(text, self.known)
            if one in self.known:
                found.append(one)
                continue
            named = by_name.get(text.lower())
            if named is not None and typed(named, self.known) in self.known:
                found.append(typed(named, self.known))
                continue
            if named is not None:
                raise UnknownIdError(f"item {named} ({self.names[named]}) is not among the items of the model")
            if self.names and not text.lstrip("-").isdigit():
                within = [n for n in self.names.values() if text.lower() in n.lower()][:3]
                hint = f"; did you mean {' or '.join(map(repr, within))}?" if within else ""
                raise UnknownIdError(f"unknown item {text!r}{hint or did_you_mean(text, self.names.values())}")
            self.known.positions([one])  # raises, and names what is close
        return found


def typed(text: str, known: IdMap) -> Any:
    """What was typed, as an integer where ids are integers."""
    if known.ids.dtype.kind == "i":
        try:
            return int(text)
        except ValueError:
            return text
    return text


def _read(path: str) -> tuple[Any, list[str]]:
    """The table and its columns; every column of text, so that an id is written as in the file."""
    place = existing(path)
    pa = need("pyarrow", "reading names")
    try:
        if path.endswith((".parquet", ".pq")):
            table = need("pyarrow.parquet", "reading Parquet").read_table(place)
        else:
            csv = need("pyarrow.csv", "reading CSV")
            with place.open(errors="replace") as file:
                head = file.readline()
            separator = max(",\t;|", key=head.count)
            columns = [c.strip().strip('"').removeprefix("\ufeff") for c in head.rstrip("\n\r").split(separator)]
            table = csv.read_csv(
                place,
                read_options=csv.ReadOptions(column_names=columns, skip_rows=1),
                parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
            )
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return table, list(table.column_names)
