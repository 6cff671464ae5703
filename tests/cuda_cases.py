"""Arrays on a device for the tests: of torch and CuPy on a real one, and what stands for CuPy's (cuda_stand_in)."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import scipy.sparse as sp

import cuda_stand_in
from fastlae import _arrays


class Arrays:
    """To the device and back, in the terms of one library."""

    def __init__(self, name):
        self.name = name

    def put(self, a):
        if self.name == "torch":
            return importlib.import_module("torch").from_numpy(np.array(a)).cuda()
        return importlib.import_module("cupy").array(a) if self.name == "cupy" else cuda_stand_in.array(a)

    def csr(self, X):
        X = sp.csr_matrix(X)
        if self.name == "torch":
            torch = importlib.import_module("torch")
            parts = [torch.from_numpy(np.array(part)).cuda() for part in (X.indptr, X.indices, X.data)]
            return torch.sparse_csr_tensor(*parts, size=X.shape, check_invariants=True)
        if self.name == "cupy":
            return importlib.import_module("cupyx.scipy.sparse").csr_matrix(X)
        return cuda_stand_in.csr_matrix(X)

    def get(self, a):
        if self.name == "torch":
            assert a.is_cuda
            return a.cpu().numpy()
        if self.name == "cupy":
            return importlib.import_module("cupy").asnumpy(a)
        assert isinstance(a, cuda_stand_in.ndarray)
        return cuda_stand_in.asnumpy(a)


def gpu_library(name):
    library = pytest.importorskip(name, reason=f"no GPU test with {name}: it is not installed")
    try:
        found = library.cuda.is_available() if name == "torch" else library.cuda.runtime.getDeviceCount() > 0
    except Exception:
        found = False
    if not found:
        pytest.skip("no CUDA device")


@pytest.fixture(
    params=["emulated", pytest.param("torch", marks=pytest.mark.gpu), pytest.param("cupy", marks=pytest.mark.gpu)]
)
def arrays(request, monkeypatch):
    if request.param == "emulated":
        cuda_stand_in.install(monkeypatch)
    else:
        gpu_library(request.param)
        monkeypatch.setattr(_arrays, "_LIBRARIES", (request.param,))
    return Arrays(request.param)
