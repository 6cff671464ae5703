"""A stand-in for a GPU: the CUDA module with its kernels emulated on the host, and as much of CuPy as fastlae uses.

The module is compiled from the same sources as the real one, by g++ (csrc/cuda/emulation.hpp); the arrays are NumPy's
under another name, which say that they lie on CUDA device 0.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("csrc/cuda", "csrc/bindings", "csrc/include")


def emulated_module():
    """The path of the compiled module; it is built once for the sources as they are."""
    pybind11 = pytest.importorskip("pybind11", reason="emulated CUDA module: needs pybind11 to be built")
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("emulated CUDA module: needs a C++ compiler to be built")
    digest = hashlib.sha256(sys.version.encode())
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.*")):
            digest.update(path.read_bytes())
    folder = ROOT / "build" / f"emulated-{digest.hexdigest()[:16]}"
    target = folder / "_cuda.so"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    bindings = ("module_cuda.cpp", "device_networks.cpp", "device_solvers.cpp")
    sources = [*(ROOT / "csrc/bindings" / name for name in bindings), *sorted((ROOT / "csrc/cuda").glob("*.c*"))]
    sources = [source for source in sources if source.suffix in (".cu", ".cpp")]
    flags = ["-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-DFASTLAE_CUDA_EMULATED"]
    paths = [ROOT / "csrc/include", ROOT / "csrc/cuda", pybind11.get_include(), sysconfig.get_paths()["include"]]

    def build(source):
        output = folder / f"{source.name}.o"
        command = [compiler, *flags, *(f"-I{path}" for path in paths), "-x", "c++", "-c", source, "-o", output]
        subprocess.run(command, check=True)
        return output

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(build, sources))
    unfinished = folder / "_cuda.unfinished"
    subprocess.run([compiler, "-shared", *objects, "-o", unfinished, "-ldl"], check=True)
    unfinished.rename(target)
    return target


class ndarray(np.ndarray):
    """Host memory that says it were on a device."""

    __module__ = "cupy"

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None, max_version=None):
        assert stream == -1, "nobody may be asked to wait"
        options = {"max_version": max_version} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {}
        return self.view(np.ndarray).__dlpack__(**options)

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")  # as CuPy says it

    number = 0  # of the device

    @property
    def device(self):
        return types.SimpleNamespace(id=self.number)

    @property
    def data(self):
        return types.SimpleNamespace(device=self.device)


class csr_matrix:
    """What is read of cupyx.scipy.sparse.csr_matrix."""

    __module__ = "cupyx.scipy.sparse"
    format = "csr"

    def __init__(self, X):
        self.indptr, self.indices, self.data = (array(part) for part in (X.indptr, X.indices, X.data))
        self.shape, self.dtype, self._host = X.shape, X.dtype, X

    @property
    def nnz(self):
        return len(self.data)

    def copy(self):
        return csr_matrix(self._host.copy())

    def sum_duplicates(self):
        self._host.sum_duplicates()
        self.__init__(self._host)

    def eliminate_zeros(self):
        self._host.eliminate_zeros()
        self.__init__(self._host)


def array(a):
    return np.array(a).view(ndarray)


def asnumpy(a):
    return np.array(a.view(np.ndarray))


class OutOfMemoryError(MemoryError):
    """As CuPy's is called."""


def cupy(free=2**40, allocations=None):
    """A module that stands for CuPy, with `free` bytes of device memory; after so many allocations there is none."""
    module = types.ModuleType("cupy")
    module.ndarray, module.array, module.asnumpy = ndarray, array, asnumpy
    left = [allocations]

    def empty(shape, dtype):
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise OutOfMemoryError("Out of memory allocating bytes")
        return np.full(shape, 0xA5, np.uint8 if np.dtype(dtype).itemsize == 1 else dtype).view(ndarray)

    module.empty = empty
    module.arange = lambda *args, **options: np.arange(*args, **options).view(ndarray)
    module.argsort = lambda a, kind: np.argsort(a.view(np.ndarray), kind=kind).view(ndarray)
    module.searchsorted = lambda a, v, **options: np.searchsorted(asnumpy(a), asnumpy(v), **options).view(ndarray)
    module.ascontiguousarray = lambda a: np.ascontiguousarray(a.view(np.ndarray)).view(ndarray)
    module.cuda = types.SimpleNamespace(
        Device=lambda number: contextlib.nullcontext(),
        get_current_stream=lambda: types.SimpleNamespace(ptr=0),
        runtime=types.SimpleNamespace(memGetInfo=lambda: (free, free)),
    )
    module.get_default_memory_pool = lambda: types.SimpleNamespace(free_bytes=lambda: 0)
    return module


def install(monkeypatch, **options):
    """Put the stand-ins where fastlae looks for the real ones."""
    from fastlae import _arrays, _backend

    # A name of its own: under the real one, pybind11 would give the real module back once that has been loaded.
    spec = importlib.util.spec_from_file_location("emulated._cuda", emulated_module())
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _backend.cuda.cache_clear()
    monkeypatch.setitem(sys.modules, "fastlae._cuda", module)
    monkeypatch.setitem(sys.modules, "cupy", cupy(**options))
    monkeypatch.setattr(_arrays, "_LIBRARIES", ("cupy",))
    monkeypatch.setattr(_arrays, "_libraries", {})
    monkeypatch.setattr(_backend, "_cublas_path", lambda: "")
