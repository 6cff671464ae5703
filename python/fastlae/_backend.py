"""The single dispatch point from an array's device to the compiled module. Nothing else imports `_core` or `_cuda`."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import _core
from .errors import CudaError


def core_for(*arrays: Any) -> Any:
    """The compiled module for arrays in host memory."""
    for array in arrays:
        device = getattr(array, "__dlpack_device__", None)
        if device is not None and int(device()[0]) != 1:
            raise ValueError(
                f"{type(array).__module__}.{type(array).__name__} lies on a device other than the CPU, and the other "
                "arrays do not: copy it to the host, or those to its device"
            )
    return _core


@functools.cache
def cuda() -> Any:
    """The compiled module for CUDA devices, loaded when it is first needed.

    Raises CudaError where it is missing, or has no device to work on.
    """
    try:
        module: Any = importlib.import_module("fastlae._cuda")
    except ImportError as error:
        raise CudaError(
            "this build of fastlae has no CUDA module. Install nvcc (12 or newer) and run pip install again with "
            "-C cmake.define.FASTLAE_CUDA=ON, or use the CPU: arrays of NumPy and SciPy, device=None"
        ) from error
    count, code, message = module.device_count()
    if count == 0:
        raise CudaError.from_runtime(code, message or "no CUDA device")
    module.load_cublas(_cublas_path())
    return module


def _cublas_path() -> str:
    """Where NVIDIA's wheels have cuBLAS; a copy that torch or CuPy has loaded is found without."""
    try:
        pathfinder: Any = importlib.import_module("cuda.pathfinder")
        return str(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
    except Exception:  # whatever it is, our own products do
        return ""


@contextlib.contextmanager
def openmp_threads() -> Iterator[None]:
    """Kernels that this thread calls within run on the threads of the OpenMP runtime that the process has loaded.

    Between calls of torch: its threads spin for some milliseconds after each of them, and ours would wait for a core.
    """
    before = _core.use_openmp(True)
    try:
        yield
    finally:
        _core.use_openmp(before)


def csr_state(indptr: Any, indices: Any, values: Any, cols: int) -> int:
    """Of a CSR matrix: 0 if it is not in canonical form (or its arrays not contiguous), 1 if all values are 1, else 2.

    Canonical: indices of int32 in range and ascending in every row, values of float32 or float64, finite and not zero.
    """
    return int(_core.csr_state(indptr, indices, values, cols))


def column_counts(indices: Any, cols: int) -> Any:
    """How many entries every column has, int64."""
    counts = np.zeros(cols, np.int64)
    _core.column_counts(indices, counts)
    return counts


def instruction_set() -> str:
    """The instruction set that the CPU kernels use."""
    return str(_core.isa())


def report_progress_to(callback: Callable[[float], None] | None) -> None:
    """Let kernels call this with the share of their work that is done, whenever they look for Ctrl-C; None: nobody."""
    _core.set_progress(callback)


def cuda_status() -> str:
    """What the CUDA module finds here, in one line."""
    try:
        count = cuda().device_count()[0]
    except CudaError as error:
        return f"module built; {error}"
    return f"module built; {count} device(s)"
