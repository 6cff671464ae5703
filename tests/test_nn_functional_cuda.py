"""The functions' way to the CUDA kernels, which are emulated on the host (tests/cuda_stand_in.py)."""

from __future__ import annotations

import warnings

import pytest
import torch

import cuda_stand_in
from fastlae.nn import functional as F
from fastlae.nn.functional import _native


@pytest.fixture
def _device(monkeypatch):
    """Tensors in host memory pass for tensors on a device."""
    from fastlae import _backend

    caches = _native.device_module, _backend.cuda
    cuda_stand_in.install(monkeypatch)
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr(_native, "on_device", lambda tensor: True)
    monkeypatch.setattr(_native, "stream", lambda tensor: 0)
    monkeypatch.setattr(
        _native, "handle", lambda tensor: tensor.detach().contiguous().numpy().view(cuda_stand_in.ndarray)
    )
    yield
    for cached in caches:
        cached.cache_clear()


def results(dtype):
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(9, 30, generator=generator, dtype=dtype)
    dense[dense < 0.8] = 0
    dense[4] = 0
    with warnings.catch_warnings(action="ignore"):
        x = F.csr_tensors(dense.to_sparse_csr())
    W, b, scores = (
        torch.randn(*s, generator=generator, dtype=dtype).requires_grad_() for s in ((30, 7), (7,), (9, 30))
    )
    layer = F.sparse_linear(x, W, b, normalize=True, dropout=0.3, seed=1)
    loss = F.multinomial_nll(scores, x)
    fused = F.linear_multinomial_nll(layer, W, None, x)
    total = (layer.square().sum(1) + loss * torch.arange(9) + fused).sum()
    return [layer, loss, fused, F.gram_product(W, x, l2=0.5), *torch.autograd.grad(total, (W, b, scores))]


HOST = {dtype: results(dtype) for dtype in (torch.float32, torch.float64)}


@pytest.mark.parametrize("dtype", HOST)
@pytest.mark.usefixtures("_device")
def test_kernels_of_the_device(dtype, monkeypatch):
    module, called = _native.device_module(), []
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12

    class Spy:
        def __getattr__(self, name):
            called.append(name)
            return getattr(module, name)

    monkeypatch.setattr(_native, "device_module", lambda: Spy())
    found = results(dtype)
    assert {"score", "multinomial_nll", "multinomial_nll_backward"} <= set(called)
    for mine, host in zip(found, HOST[dtype], strict=True):
        torch.testing.assert_close(mine, host, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", HOST)
@pytest.mark.usefixtures("_device")
def test_plain_torch_without_the_module(dtype, monkeypatch):
    monkeypatch.setattr(_native, "device_module", lambda: None)
    for mine, host in zip(results(dtype), HOST[dtype], strict=True):
        torch.testing.assert_close(mine, host, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-5)
