"""Arrays on CUDA devices: whose they are, memory like theirs, and sparse matrices there.

Outputs and workspaces come from the library of the input (torch or CuPy), and work is queued on its current stream, so
that its allocator's rules hold for them. Neither library is imported before an array of it, or `device="cuda"`, is
seen. What waits for the device is `Library.to_host` (and what calls it), and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ._backend import cuda
from ._memory import readable
from ._sparse import Csr, as_csr
from .errors import CudaError

_LIBRARIES = ("torch", "cupy")  # the first that is loaded, or else installed, provides memory for device="cuda"
_PAGE_LOCKED = 256 << 20  # bytes: the largest array that is copied to page-locked memory on its way to a device
_CUDA_DEVICES = (2, 13)  # DLPack's numbers for device memory, plain and managed


class Library(Protocol):
    """What is asked of torch and CuPy. Dtypes are NumPy's, devices are numbers."""

    name: str

    def current(self, device: int) -> AbstractContextManager[Any]:
        """Within, the device is the current one: CuPy queues there, and torch gives out arrays of no other."""

    def empty(self, shape: tuple[int, ...], dtype: Any, device: int) -> Any:
        """New memory without values."""

    def stream(self, device: int) -> int:
        """The current stream, as a number."""

    def staging(self, size: int) -> NDArray[np.uint8]:
        """Bytes on the host from which `from_host` copies fast: page-locked where the library does not do so itself."""

    def from_host(self, array: NDArray[Any], device: int) -> Any:
        """A copy on the device, queued on the current stream; `array` may not be written afterwards."""

    def to_host(self, array: Any) -> NDArray[Any]:
        """A copy on the host, when all that was queued before it is done."""

    def astype(self, array: Any, dtype: Any) -> Any:
        """The array itself if it has the dtype, else a copy."""

    def dtype(self, array: Any) -> np.dtype[Any]:
        """As NumPy calls it."""

    def device(self, array: Any) -> int:
        """The number of the array's device."""

    def free_memory(self, device: int) -> int:
        """Bytes that can still be had there, the library's own cache included."""

    def csr_parts(self, X: Any) -> tuple[Any, Any, Any] | None:
        """Row pointers, column indices and values of a CSR matrix, or None if `X` is none."""

    def canonical(self, X: Any) -> Any | None:
        """A sorted copy of a CSR matrix without duplicates and zeros, or None if the library makes none."""

    def contiguous(self, array: Any) -> Any:
        """The array itself if its rows follow one another, else a copy."""

    def by_column(self, indptr: Any, indices: Any, cols: int) -> tuple[Any, Any, Any]:
        """Of a CSR matrix by columns: pointers (int64), rows (int32), and where each entry was."""


class _Torch:
    name = "torch"

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch")

    def __reduce__(self) -> tuple[Any, ...]:
        return _library, (self.name,)

    def current(self, device: int) -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = self.torch.cuda.device(device)
        return found

    def _place(self, device: int) -> Any:
        return self.torch.device("cuda", device)

    def _dtype(self, dtype: Any) -> Any:
        return getattr(self.torch, np.dtype(dtype).name)

    def empty(self, shape: tuple[int, ...], dtype: Any, device: int) -> Any:
        return self.torch.empty(shape, dtype=self._dtype(dtype), device=self._place(device))

    def stream(self, device: int) -> int:
        return int(self.torch.cuda.current_stream(device).cuda_stream)

    def staging(self, size: int) -> NDArray[np.uint8]:
        # The buffer's pages are kept by torch's allocator, which gives them out again when the copy is done.
        return np.asarray(self.torch.empty(size, dtype=self.torch.uint8, device="cpu", pin_memory=True).numpy())

    def from_host(self, array: NDArray[Any], device: int) -> Any:
        if not (array.flags.c_contiguous and array.flags.writeable):  # torch warns of memory that it may not write
            array = array.copy(order="C")
        tensor = self.torch.from_numpy(array)
        # From memory that is not page-locked, torch waits for the copy; `pin_memory` makes a copy there (and leaves
        # what is there already), which torch's allocator rounds up to a power of two and never gives back.
        if array.nbytes <= _PAGE_LOCKED:
            tensor = tensor.pin_memory()
        return tensor.to(self._place(device), non_blocking=True)

    def to_host(self, array: Any) -> NDArray[Any]:
        return np.asarray(array.detach().cpu().numpy())

    def astype(self, array: Any, dtype: Any) -> Any:
        return array.to(self._dtype(dtype))

    def dtype(self, array: Any) -> np.dtype[Any]:
        name = str(array.dtype).removeprefix("torch.")
        return np.dtype(getattr(np, name, object))  # object: NumPy has none such

    def device(self, array: Any) -> int:
        return int(array.device.index or 0)

    def free_memory(self, device: int) -> int:
        memory = self.torch.cuda
        cached = memory.memory_reserved(device) - memory.memory_allocated(device)
        return int(memory.mem_get_info(device)[0] + cached)

    def csr_parts(self, X: Any) -> tuple[Any, Any, Any] | None:
        if getattr(X, "layout", None) != self.torch.sparse_csr:
            return None
        return X.crow_indices(), X.col_indices(), X.values()

    def canonical(self, X: Any) -> Any | None:
        return None

    def contiguous(self, array: Any) -> Any:
        return array.contiguous()

    def by_column(self, indptr: Any, indices: Any, cols: int) -> tuple[Any, Any, Any]:
        torch, device = self.torch, indices.device
        entries = torch.arange(len(indices), device=device)
        columns, order = torch.sort(indices, stable=True)
        pointers = torch.searchsorted(columns, torch.arange(cols + 1, dtype=torch.int32, device=device))
        rows = torch.searchsorted(indptr, entries, right=True) - 1
        return pointers, rows[order].to(torch.int32), order


class _CuPy:
    name = "cupy"

    def __init__(self) -> None:
        self.cupy: Any = importlib.import_module("cupy")

    def __reduce__(self) -> tuple[Any, ...]:
        return _library, (self.name,)

    def current(self, device: int) -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = self.cupy.cuda.Device(device)
        return found

    def empty(self, shape: tuple[int, ...], dtype: Any, device: int) -> Any:
        with self.cupy.cuda.Device(device):
            return self.cupy.empty(shape, dtype)

    def stream(self, device: int) -> int:
        with self.cupy.cuda.Device(device):
            return int(self.cupy.cuda.get_current_stream().ptr)

    def staging(self, size: int) -> NDArray[np.uint8]:
        return np.empty(size, np.uint8)  # CuPy copies through page-locked memory of its own

    def from_host(self, array: NDArray[Any], device: int) -> Any:
        with self.cupy.cuda.Device(device):
            return self.cupy.array(array)

    def to_host(self, array: Any) -> NDArray[Any]:
        return np.asarray(self.cupy.asnumpy(array))

    def astype(self, array: Any, dtype: Any) -> Any:
        return array.astype(dtype, copy=False)

    def dtype(self, array: Any) -> np.dtype[Any]:
        return cast("np.dtype[Any]", np.dtype(array.dtype))

    def device(self, array: Any) -> int:
        return int(getattr(array, "data", array).device.id)

    def free_memory(self, device: int) -> int:
        with self.cupy.cuda.Device(device):
            return int(self.cupy.cuda.runtime.memGetInfo()[0] + self.cupy.get_default_memory_pool().free_bytes())

    def csr_parts(self, X: Any) -> tuple[Any, Any, Any] | None:
        if getattr(X, "format", None) != "csr":
            return None
        return X.indptr, X.indices, X.data

    def canonical(self, X: Any) -> Any | None:
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
        return X

    def contiguous(self, array: Any) -> Any:
        return self.cupy.ascontiguousarray(array)

    def by_column(self, indptr: Any, indices: Any, cols: int) -> tuple[Any, Any, Any]:
        cupy = self.cupy
        with self.cupy.cuda.Device(self.device(indices)):
            order = cupy.argsort(indices, kind="stable")
            pointers = cupy.searchsorted(indices[order], cupy.arange(cols + 1, dtype=np.int32))
            rows = cupy.searchsorted(indptr, cupy.arange(len(indices), dtype=np.int64), side="right") - 1
            return pointers.astype(np.int64), rows[order].astype(np.int32), order


_libraries: dict[str, Library] = {}


def _library(name: str) -> Library:
    if name not in _libraries:
        _libraries[name] = _Torch() if name == "torch" else _CuPy()
    return _libraries[name]


def _owner(array: Any) -> str | None:
    """The library of an array on a CUDA device; None for whatever is on the host."""
    if isinstance(array, DeviceCsr):
        return array.library.name
    root = type(array).__module__.partition(".")[0]
    if root in ("numpy", "scipy"):
        return None
    if root in ("cupy", "cupyx"):
        return "cupy"
    if root == "torch":
        return "torch" if getattr(array, "is_cuda", False) else None
    device = getattr(array, "__dlpack_device__", None)
    if device is not None and int(device()[0]) in _CUDA_DEVICES:
        raise TypeError(
            f"{type(array).__module__}.{type(array).__name__}: on CUDA devices, arrays of torch and CuPy are taken; "
            "torch.from_dlpack and cupy.from_dlpack turn others into theirs without a copy"
        )
    return None


class Place(NamedTuple):
    """A device, and the library that allocates there."""

    library: Library
    device: int

    def empty(self, shape: tuple[int, ...] | int, dtype: Any) -> Any:
        """New memory without values; CudaError where there is none."""
        return self._allocating(self.library.empty, (shape,) if isinstance(shape, int) else shape, dtype, self.device)

    def _allocating(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            if type(error).__name__ != "OutOfMemoryError":  # as torch and CuPy both call it
                raise
            raise CudaError.from_runtime(2, f"no memory on CUDA device {self.device}: {error}") from error

    def workspace(self, size: int) -> Any | None:
        """Bytes for a kernel to work in."""
        return self.empty(size, np.uint8) if size else None

    def from_host(self, array: Any, dtype: Any) -> Any:
        """A copy on the device."""
        host = np.ascontiguousarray(array, dtype=dtype)
        return self._allocating(self.library.from_host, host, self.device)

    def current(self) -> AbstractContextManager[Any]:
        """Within, operations on arrays that are here are queued here."""
        return self.library.current(self.device)

    @property
    def stream(self) -> int:
        """The current stream, as a number."""
        return self.library.stream(self.device)

    def number(self, array: Any) -> Any:
        """The one number of an array; waits for it."""
        return self.library.to_host(array)[0]

    def require(self, needed: int, what: str, instead: str) -> None:
        """Raise CudaError if `needed` bytes are not to be had on the device."""
        free = self.library.free_memory(self.device)
        if needed > free:
            raise CudaError(
                f"{what} needs {readable(needed)} of memory on the GPU (device {self.device}), and {readable(free)} "
                f"are free. {instead} The CPU may have more: arrays of NumPy and SciPy, device=None"
            )


def place_of(*arrays: Any) -> Place | None:
    """Where the arrays on CUDA devices among `arrays` are: one place for all; None if there are none."""
    place: Place | None = None
    for array in arrays:
        name = None if array is None else _owner(array)
        if name is None:
            continue
        found = Place(_library(name), _device(array, name))
        if place is not None and found != place:
            raise ValueError(
                f"arrays of one library on one device expected, got {place.library.name} on device {place.device} and "
                f"{found.library.name} on device {found.device}"
            )
        place = found
    return place


def on_their_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates what computes with the arrays that it is given: their device is the current one meanwhile."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        place = place_of(*args, *kwargs.values())
        with contextlib.nullcontext() if place is None else place.current():
            return function(*args, **kwargs)

    return call


def _device(array: Any, name: str) -> int:
    return array.device if isinstance(array, DeviceCsr) else _library(name).device(array)


def on_cuda(*arrays: Any) -> bool:
    """Whether any of the arrays lies on a CUDA device."""
    return any(array is not None and _owner(array) is not None for array in arrays)


def place_for(device: str | None, *arrays: Any) -> Place | None:
    """Where to compute: where the arrays are, or on the device that is named ("cuda", "cuda:1"); None: on the host."""
    place = place_of(*arrays)
    if device is None or device == "cpu":
        if place is not None and device == "cpu":
            raise ValueError("device: 'cpu' takes arrays in host memory, got one on a CUDA device")
        return place
    number = parse_device(device)
    if place is not None:
        if number not in (None, place.device):
            raise ValueError(f"device: the array lies on device {place.device}, and {device!r} was asked for")
        return place
    cuda()  # says what is missing, before any other library does
    loaded = [name for name in _LIBRARIES if name in sys.modules]
    for name in loaded or [name for name in _LIBRARIES if importlib.util.find_spec(name)]:
        return Place(_library(name), number or 0)
    raise CudaError("device='cuda' needs torch or CuPy, which provide the memory: install one of them")


def parse_device(device: Any) -> int | None:
    """The number in "cuda:1"; None for "cuda"."""
    kind, _, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise ValueError(f"device: expected None, 'cpu', 'cuda' or 'cuda:0', got {device!r}")
    return int(number) if number else None


class DeviceCsr(NamedTuple):
    """A sparse matrix on a CUDA device as the kernels take it; compare `fastlae._sparse.Csr`."""

    indptr: Any
    indices: Any
    values: Any | None
    shape: tuple[int, int]
    library: Library
    device: int

    @property
    def nnz(self) -> int:
        """Stored values."""
        return int(self.indices.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values; float32 where all are 1."""
        return np.dtype(np.float32) if self.values is None else self.library.dtype(self.values)

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.library, self.device)

    def transpose(self) -> DeviceCsr:
        """X^T by rows, sorted."""
        pointers, rows, order = self.library.by_column(self.indptr, self.indices, self.shape[1])
        values = None if self.values is None else self.values[order]
        return self._replace(indptr=pointers, indices=rows, values=values, shape=self.shape[::-1])

    def rows(self, begin: int, end: int, indptr: NDArray[np.int64]) -> DeviceCsr:
        """Rows begin to end; `indptr` is the host's copy of the pointers."""
        first, last = int(indptr[begin]), int(indptr[end])
        return self._replace(
            indptr=self.indptr[begin : end + 1] - first,
            indices=self.indices[first:last],
            values=None if self.values is None else self.values[first:last],
            shape=(end - begin, self.shape[1]),
        )

    def scaled(self, by_column: Any) -> DeviceCsr:
        """X diag(by_column), a vector on the device."""
        factors = by_column[self.indices]
        return self._replace(values=factors if self.values is None else self.values * factors)

    def to_host(self) -> Csr:
        """A copy on the host."""
        back = self.library.to_host
        values = None if self.values is None else back(self.values)
        return Csr(back(self.indptr), back(self.indices), values, self.shape)


def device_csr(
    X: Any, place: Place, name: str = "X", *, dtype: Any, cols: int | None = None, nonnegative: bool = False
) -> DeviceCsr:
    """Check `X` and bring it to `place`.

    What is on the host is checked there, and goes over in one transfer. A torch.sparse_csr or cupyx CSR matrix is taken
    as it is: its numbers are read once for the checks (which waits for the device), and converted, on the device, where
    indices are not int32, row pointers not int64, or values not `dtype`.
    """
    if isinstance(X, DeviceCsr):
        result = X
        if X.values is not None and X.library.dtype(X.values) != dtype:
            with place.current():
                result = X._replace(values=X.library.astype(X.values, dtype))
    elif _owner(X) is None:
        result = transfer(as_csr(X, name, dtype=dtype, cols=cols, nonnegative=nonnegative), place, dtype)
    else:
        with place.current():
            result = _checked(X, place, name, dtype, nonnegative)
    if cols is not None and result.shape[1] != cols:
        raise ValueError(f"{name}: expected {cols} columns (items), got a matrix of shape {result.shape}")
    return result


def host_csr(X: Any, dtype: Any) -> Csr:
    """Check non-negative interactions, wherever they are, and bring them to the host."""
    place = place_of(X)
    if place is None:
        return as_csr(X, dtype=dtype, nonnegative=True)
    return device_csr(X, place, dtype=dtype, nonnegative=True).to_host()


def transfer(csr: Csr, place: Place, dtype: Any) -> DeviceCsr:
    """All arrays of a matrix behind one another in one buffer, and that over in one piece."""
    parts: list[NDArray[Any]] = [csr.indptr, csr.indices]
    if csr.values is not None:
        parts.append(csr.values.astype(dtype, copy=False))
    starts = np.cumsum([0, *(-(-part.nbytes // 256) * 256 for part in parts)])
    place.require(int(starts[-1]), f"a sparse matrix of {csr.nnz} values", "Fewer rows at a time need less.")
    buffer = place.library.staging(int(starts[-1]))
    for part, start in zip(parts, starts, strict=False):
        buffer[start : start + part.nbytes] = part.view(np.uint8)
    there = place.from_host(buffer, np.uint8)
    views = []
    for part, start in zip(parts, starts, strict=False):
        piece = there[int(start) : int(start) + part.nbytes]
        views.append(piece.view(_view_dtype(place.library, part.dtype)))
    values = views[2] if len(views) == 3 else None
    return DeviceCsr(views[0], views[1], values, csr.shape, place.library, place.device)


def _view_dtype(library: Library, dtype: Any) -> Any:
    return library._dtype(dtype) if isinstance(library, _Torch) else np.dtype(dtype)


# csrc/include/fastlae/cuda/device.hpp
_BAD_POINTERS, _OUT_OF_RANGE, _NOT_ASCENDING, _NOT_ONES, _STORED_ZERO, _NOT_FINITE, _NEGATIVE = (
    1 << b for b in range(7)
)


def _checked(X: Any, place: Place, name: str, dtype: Any, nonnegative: bool) -> DeviceCsr:
    library = place.library
    parts = library.csr_parts(X)
    if parts is None:
        raise TypeError(
            f"{name}: on a CUDA device, a CSR matrix expected (torch.sparse_csr, cupyx.scipy.sparse.csr_matrix), got "
            f"{type(X).__module__}.{type(X).__name__}"
        )
    if len(X.shape) != 2 or max(X.shape) >= 2**31:
        raise ValueError(f"{name}: expected two dimensions of at most 2**31 - 1, got shape {tuple(X.shape)}")
    indptr, indices, values = (
        library.astype(part, to) for part, to in zip(parts, (np.int64, np.int32, dtype), strict=True)
    )
    csr = DeviceCsr(indptr, indices, values, (int(X.shape[0]), int(X.shape[1])), library, place.device)
    flags = csr_flags(csr)
    if flags & (_BAD_POINTERS | _OUT_OF_RANGE):
        raise ValueError(f"{name}: row pointers or column indices are out of order or range")
    if flags & _NOT_FINITE:
        raise ValueError(f"{name}: expected finite values, got NaN or infinity (in {np.dtype(dtype).name})")
    if nonnegative and flags & _NEGATIVE:
        raise ValueError(f"{name}: expected non-negative values")
    if flags & (_NOT_ASCENDING | _STORED_ZERO):
        sorted_copy = library.canonical(X)
        if sorted_copy is None:
            raise ValueError(
                f"{name}: expected column indices that ascend within a row, without duplicates or stored zeros; "
                "X.to_sparse_coo().coalesce().to_sparse_csr() sorts and sums (zeros must be left out before)"
            )
        return _checked(sorted_copy, place, name, dtype, nonnegative)
    return csr if flags & _NOT_ONES else csr._replace(values=None)


def csr_flags(csr: DeviceCsr) -> int:
    """What is so about a matrix, as bits (CsrFlag of csrc/include/fastlae/cuda/device.hpp)."""
    place = csr.place
    flags = place.empty(1, np.int32)
    cuda().csr_flags(csr.indptr, csr.indices, csr.values, csr.shape[1], flags, place.stream)
    return int(place.number(flags))
