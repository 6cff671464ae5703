"""A text file on its way to the reader of tables: its beginning, to see what it is, and its bytes as they pass."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from .. import _progress
from .._backend import core_for
from ..errors import DataError

_HEAD = 1 << 16  # bytes
_PLAIN = re.compile("(0|-?[1-9][0-9]{0,17})")


def one_line(error: Any) -> str:
    """An error's text without line breaks, cut short."""
    return " ".join(str(error).split())[:200]


class Head:
    """The beginning of a text file.

    Parameters
    ----------
    path : Path
        May be compressed.
    pa : module
        pyarrow.

    Raises
    ------
    DataError
        If it cannot be read, or is no text.
    """

    def __init__(self, path: Path, pa: Any) -> None:
        try:
            with pa.input_stream(str(path)) as stream:
                head: bytes = stream.read(_HEAD)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read: {one_line(error)}") from None
        if head.startswith(b"PAR1"):
            raise DataError(f"{path} is a Parquet file, not CSV")
        try:
            text = head[:-4].decode() if len(head) == _HEAD else head.decode()
        except UnicodeDecodeError as error:
            if len(head) < _HEAD or error.start < len(head) - 8:
                raise DataError(f"{path} is no CSV file: byte {error.start} is not UTF-8 text") from None
            text = head[: error.start].decode()
        if "\0" in text:
            raise DataError(f"{path} is no CSV file: it holds binary data")
        if not text.strip():
            raise DataError(f"{path} is empty")
        self.lines = text.splitlines()
        if len(head) == _HEAD and len(self.lines) > 1:
            self.lines.pop()  # it goes on beyond the beginning
        self.first_line = self.lines[0]

    def integers(self, columns: list[int], separator: str, header: bool) -> bool:
        """Whether these columns are plain integers as far as can be seen from here."""
        try:
            rows = list(csv.reader(self.lines[int(header) :], delimiter=separator))
        except csv.Error:
            return False
        return all(len(row) > max(columns) and all(_PLAIN.fullmatch(row[c]) for c in columns) for row in rows if row)


class Source(io.RawIOBase):
    """A file that tells how far it is read, and whether numbers in it are written oddly.

    Parameters
    ----------
    path : Path
        May be compressed.
    pa : module
        pyarrow.
    separator : str
        Between columns; "": do not look at the numbers.

    Attributes
    ----------
    odd : bool
        Whether a number that was read is written as no integer is: 007, +7, 0x7, -0, blanks around it.
    """

    def __init__(self, path: Path, pa: Any, separator: str = "") -> None:
        super().__init__()
        compressed = path.suffix in (".gz", ".bz2", ".zst", ".lz4", ".br")
        self._file: Any = pa.input_stream(str(path)) if compressed else path.open("rb", buffering=0)
        self._span = _progress.current()
        self._size = 0 if compressed or not path.is_file() else path.stat().st_size
        self._separator, self._tail, self._read = separator, b"\n", 0
        self.odd = False

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        block: bytes = self._file.read(size)
        if self._separator and not self.odd:
            core = core_for()
            # A field's beginning or end may be where blocks meet, or at the end of the file.
            self.odd = core.odd_numbers(self._tail + block[:2] + (b"" if block else b"\n"), self._separator)
            self.odd |= core.odd_numbers(block, self._separator)
            self._tail = (self._tail + block)[-2:] if len(block) < 2 else block[-2:]
        self._read += len(block)
        if self._span is not None and self._size:
            self._span.report(self._read / self._size)
        return block

    def readable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
