"""A symmetric matrix in half the memory: the lower triangle, by square tiles."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _memory
from ._backend import core_for
from ._threads import resolve_threads
from .errors import MemoryNeededError


class PackedSymmetric:
    """The lower triangle of a symmetric matrix, packed by tile rows, in a little more than n^2 / 2 numbers.

    Tile row i holds rows ``i * tile`` to ``(i + 1) * tile`` and the columns up to ``(i + 1) * tile``, in C order; the
    tile rows follow one another. So only tiles are stored of which some part lies on or below the diagonal.

    Parameters
    ----------
    values : ndarray, (PackedSymmetric.length(n, tile),)
        float32 or float64, contiguous; also memory-mapped.
    n : int
        Order of the matrix.
    tile : int, optional
        Rows of a tile; by default what suits `ops.spd_inverse`.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> P = fastlae.ops.PackedSymmetric.from_dense(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> fastlae.ops.spd_inverse(P).to_dense()
    array([[ 0.66666667, -0.33333333],
           [-0.33333333,  0.66666667]])
    """

    def __init__(self, values: NDArray[Any], n: int, tile: int | None = None) -> None:
        if n < 0:
            raise ValueError(f"n: expected at least 0, got {n}")
        if tile is not None and tile < 1:
            raise ValueError(f"tile: expected at least 1, got {tile}")
        self.n = int(n)
        # A tile larger than the matrix is one tile of its size.
        self.tile = min(int(tile or core_for().inverse_tile(n)), max(1, self.n))
        if not isinstance(values, np.ndarray) or values.dtype not in (np.float32, np.float64):
            raise TypeError("values: expected a NumPy array of float32 or float64")
        if values.shape != (self.length(self.n, self.tile),):
            raise ValueError(
                f"values: expected shape ({self.length(self.n, self.tile)},) for n = {n} and tiles of {self.tile} "
                f"rows, got {values.shape}"
            )
        self.values = values

    @staticmethod
    def length(n: int, tile: int) -> int:
        """Numbers that are stored."""
        whole = n // tile
        return tile * tile * whole * (whole + 1) // 2 + (n - whole * tile) * n

    @classmethod
    def empty(cls, n: int, dtype: Any = np.float32, tile: int | None = None) -> PackedSymmetric:
        """Without values, like `numpy.empty`, after a check that the memory is there."""
        tile = min(tile or int(core_for().inverse_tile(n)), max(1, n))
        _memory.require(
            cls.length(n, tile) * np.dtype(dtype).itemsize, f"a packed symmetric matrix of order {n}", "float32 does."
        )
        return cls(np.empty(cls.length(n, tile), dtype), n, tile)

    @classmethod
    def on_disk(cls, n: int, dtype: Any = np.float32, folder: str | PathLike[str] | None = None) -> PackedSymmetric:
        """All zero, in a temporary file that disappears with the last reference: for what memory does not hold.

        The file is mapped into memory. Tiles are as large as memory allows, since every step of an inverse goes through
        the whole file, and takes one tile row.

        Parameters
        ----------
        n : int
            Order of the matrix.
        dtype : float32 or float64
            Of the values.
        folder : path-like, optional
            On a disk with room for the file; by default the system's folder for temporary files (``TMPDIR``).

        Raises
        ------
        MemoryNeededError
            If the disk is too full.
        """
        itemsize = np.dtype(dtype).itemsize
        tile = disk_tile(n, itemsize)
        size = cls.length(n, tile) * itemsize
        place = Path(folder or tempfile.gettempdir())
        free = shutil.disk_usage(place).free
        if size > free:
            raise MemoryNeededError(
                f"a packed symmetric matrix of order {n} needs {_memory.readable(size)} on disk, and {place} has "
                f"{_memory.readable(free)}. The variable TMPDIR names another folder."
            )
        with tempfile.TemporaryFile(dir=place) as file:
            if size:
                # Now, with an error if the disk is full; later a write to the mapped memory would end the process.
                os.posix_fallocate(file.fileno(), 0, size)
            values = np.memmap(file, dtype, "r+", shape=(size // itemsize,)) if size else np.empty(0, dtype)
        return cls(values, n, tile)

    @classmethod
    def from_dense(cls, a: NDArray[Any], tile: int | None = None) -> PackedSymmetric:
        """The lower triangle of `a`, (n, n)."""
        if not isinstance(a, np.ndarray) or a.dtype not in (np.float32, np.float64):
            raise TypeError("a: expected a NumPy array of float32 or float64")
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"a: expected a square matrix, got shape {a.shape}")
        packed = cls.empty(len(a), a.dtype, tile)
        for begin, strip in packed.strips():
            strip[:] = a[begin : begin + len(strip), : strip.shape[1]]
        return packed

    def copy(self) -> PackedSymmetric:
        """A copy in memory of its own."""
        other = PackedSymmetric.empty(self.n, self.dtype, self.tile)
        np.copyto(other.values, self.values)
        return other

    @property
    def shape(self) -> tuple[int, int]:
        """Of the whole matrix."""
        return self.n, self.n

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.values.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.values.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.values.nbytes

    def __repr__(self) -> str:
        """Order, dtype and memory."""
        return f"PackedSymmetric({self.n} x {self.n}, {self.dtype}, {_memory.readable(self.nbytes)})"

    def strips(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Every tile row, with the number of its first row; views of (rows, columns up to the end of its diagonal)."""
        at = 0
        for begin in range(0, self.n, self.tile):
            rows, width = min(self.tile, self.n - begin), min(self.n, begin + self.tile)
            yield begin, self.values[at : at + rows * width].reshape(rows, width)
            at += rows * width

    def diagonal(self) -> NDArray[Any]:
        """The diagonal (a copy)."""
        parts = [strip[:, begin:].diagonal() for begin, strip in self.strips()]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def add_to_diagonal(self, numbers: Any) -> None:
        """Add a number, or one per row, to the diagonal."""
        numbers = np.broadcast_to(np.asarray(numbers, dtype=self.dtype), self.n)
        for begin, strip in self.strips():
            strip.reshape(-1)[begin :: strip.shape[1] + 1][: len(strip)] += numbers[begin : begin + len(strip)]

    def scale(self, numbers: Any) -> None:
        """Multiply entry (i, j) by ``numbers[i] * numbers[j]``."""
        numbers = np.asarray(numbers, dtype=self.dtype)
        for begin, strip in self.strips():
            strip *= numbers[begin : begin + len(strip), None]
            strip *= numbers[: strip.shape[1]]

    def columns(self, positions: Any, num_threads: int = 0) -> NDArray[Any]:
        """Some columns as a dense array, (n, columns asked for)."""
        num_threads = resolve_threads(num_threads)
        array = np.asarray(positions)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(f"positions: expected a vector of integers, got {array.dtype} of {array.ndim} dimension(s)")
        positions = np.ascontiguousarray(array, dtype=np.int64)
        out = np.empty((self.n, len(positions)), self.dtype)
        core_for(self.values).symmetric_columns(self.values, self.n, self.tile, positions, out, num_threads)
        return out

    def to_dense(self) -> NDArray[Any]:
        """The whole matrix, (n, n), both triangles."""
        _memory.require(self.n**2 * self.itemsize, f"a dense matrix of order {self.n}", "columns(...) gives a part.")
        return self.columns(np.arange(self.n))


def disk_tile(n: int, itemsize: int) -> int:
    """Rows of a tile for a matrix on disk: the panels of an inverse (four of n x tile) take a quarter of the memory."""
    free = _memory.available_memory()
    most = 3840 if free is None else int(free / 4 / (4 * max(1, n) * itemsize)) // 96 * 96
    tile = max(int(core_for().inverse_tile(n)), min(3840, most))
    even = -(-n // max(1, -(-n // tile)))  # rather than one small tile at the end
    return max(96, -(-even // 96) * 96)


def native(a: Any) -> tuple[NDArray[Any], int, int]:
    """A full or packed symmetric matrix as the kernels take it: values, order, tile."""
    if isinstance(a, PackedSymmetric):
        return a.values, a.n, a.tile
    return a, len(a), 0
