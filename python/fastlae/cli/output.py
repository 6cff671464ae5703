"""What a command prints or writes: tables for people, CSV, JSON and Parquet for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._files import replaced
from ..data.reading import need

FORMATS = ("table", "csv", "json", "parquet")
_BY_ENDING = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".txt": "table"}


class Destination(NamedTuple):
    """Where results go (None: standard output) and in which format."""

    path: Path | None
    format: str

    def say(self, text: str) -> None:
        """A remark: beside a table for people, out of the way of a program's input."""
        print(text, file=sys.stdout if self.path is None and self.format == "table" else sys.stderr, flush=True)


def destination(path: str | None, chosen: str | None, *, force: bool) -> Destination:
    """Check, before anything is computed, that results can be written."""
    if path is None:
        if chosen == "parquet":
            raise ValueError("--format parquet needs a file: --output FILE")
        return Destination(None, chosen or "table")
    return Destination(writable(path, force=force), chosen or _BY_ENDING.get(Path(path).suffix, "csv"))


def writable(path: str, *, force: bool) -> Path:
    """`path`, if a file can be written there."""
    place = Path(path)
    if place.is_dir():
        raise IsADirectoryError(f"{place} is a folder, expected the name of a file")
    if place.exists() and not force:
        raise FileExistsError(f"{place} exists; --force overwrites it")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"no such folder: {place.parent}")
    if not os.access(place.parent, os.W_OK):
        raise PermissionError(f"{place.parent} cannot be written to")
    return place


def write(columns: dict[str, Any], to: Destination, *, table: str | None = None) -> None:
    """Columns of one length; `table` is how a person reads them, where that is not simply aligned."""
    if to.format == "parquet":
        assert to.path is not None
        pa, parquet = need("pyarrow", "writing Parquet"), need("pyarrow.parquet", "writing Parquet")
        with replaced(to.path) as temporary:
            parquet.write_table(pa.table({name: pa.array(np.asarray(c)) for name, c in columns.items()}), temporary)
        return
    text = (table or aligned(columns)) if to.format == "table" else _as_text(columns, to.format)
    if to.path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with replaced(to.path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _as_text(columns: dict[str, Any], form: str) -> str:
    lists = [np.asarray(column).tolist() for column in columns.values()]
    if form == "json":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
        return "[\n" + ",\n".join(json.dumps(_finite(row), ensure_ascii=False) for row in rows) + "\n]\n"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*lists, strict=True))
    return buffer.getvalue()


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in row.items()}


def aligned(columns: dict[str, Any], indent: str = "") -> str:
    """Columns under their names: numbers to the right, text to the left and cut where it is long."""
    cells = []
    for name, column in columns.items():
        values = np.asarray(column).tolist()
        numeric = all(isinstance(v, (int, float)) for v in values)
        texts = [name, *(_cell(v, 2 if name.endswith("seconds") else 4) for v in values)]
        width = max(map(len, texts))
        cells.append([t.rjust(width) if numeric else t.ljust(width) for t in texts])
    return "".join(indent + "  ".join(row).rstrip() + "\n" for row in zip(*cells, strict=True))


def _cell(value: Any, digits: int) -> str:
    text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
