"""The functions' way to the CUDA kernels: on a real device, and emulated on the host (tests/cuda_stand_in.py)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import cuda_stand_in
import fastlae
from cuda_cases import gpu_library
from fastlae.nn import functional as F
from fastlae.nn.functional import _native

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch's, of CSR tensors


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request, monkeypatch):
    """Where the tensors are: on a device, or in host memory that passes for one."""
    if request.param == "emulated":
        cuda_stand_in.install(monkeypatch)
        monkeypatch.setattr(_native, "on_device", lambda tensor: True)
        monkeypatch.setattr(_native, "stream", lambda tensor: 0)
        monkeypatch.setattr(
            _native, "handle", lambda tensor: tensor.detach().contiguous().numpy().view(cuda_stand_in.ndarray)
        )
    else:
        gpu_library("torch")
    return "cpu" if request.param == "emulated" else "cuda"


def results(dtype, place="cpu"):
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).to(place).requires_grad_()

    dense = torch.rand(9, 30, generator=generator, dtype=dtype)
    dense[dense < 0.8] = 0
    dense[4] = 0
    with warnings.catch_warnings(action="ignore"):
        x = F.csr_tensors(dense.to(place).to_sparse_csr())
    W, b, scores = leaf(30, 7), leaf(7), leaf(9, 30)
    z, mu, logvar, scale, shift, added = leaf(9, 7), leaf(9, 7), leaf(9, 7), leaf(7), leaf(7), leaf(7)
    layer = F.sparse_linear(x, W, b, normalize=True, dropout=0.3, seed=1)
    loss = F.multinomial_nll(scores, x)
    fused = F.linear_multinomial_nll(layer, W, None, x)
    normed, past = F.swish_norm(layer, scale, shift, layer_bias=added, residual=z, with_total=True)
    plain = F.swish_norm(z, scale, shift)
    each = F.composite_prior_logpdf(z, mu, logvar)
    joint = F.composite_prior_logpdf(z, mu, logvar, per_coordinate=False)
    weights = torch.arange(9, device=place)
    total = (layer.square().sum(1) + loss * weights + fused + (each - 2 * joint) * weights).sum()
    total = total + (normed.sin() + past.cos() + plain.sin()).sum()
    found = [layer, loss, fused, normed, past, plain, each, joint, F.gram_product(W, x, l2=0.5)]
    return [*found, *torch.autograd.grad(total, (W, b, scores, z, mu, logvar, scale, shift, added))]


HOST = {dtype: results(dtype) for dtype in (torch.float32, torch.float64)}


@pytest.mark.parametrize("dtype", HOST)
def test_kernels_of_the_device(dtype, place, monkeypatch):
    module, called = _native.device_module(), []
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12

    class Spy:
        def __getattr__(self, name):
            called.append(name)
            return getattr(module, name)

    monkeypatch.setattr(_native, "device_module", lambda: Spy())
    found = results(dtype, place)
    both = [name for op in ("multinomial_nll", "swish_norm", "composite_prior") for name in (op, f"{op}_backward")]
    assert {"score", *both} <= set(called)
    for mine, host in zip(found, HOST[dtype], strict=True):
        torch.testing.assert_close(mine.cpu(), host, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", HOST)
def test_plain_torch_without_the_module(dtype, place, monkeypatch):
    monkeypatch.setattr(_native, "device_module", lambda: None)
    for mine, host in zip(results(dtype, place), HOST[dtype], strict=True):
        torch.testing.assert_close(mine.cpu(), host, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-5)


@pytest.mark.gpu
def test_a_tensor_that_requires_a_gradient_is_named():
    gpu_library("torch")
    W = torch.eye(5, device="cuda").requires_grad_()
    with pytest.raises(ValueError, match=r"W: .*require"):
        fastlae.ops.recommend(torch.eye(5, device="cuda").to_sparse_csr(), W, k=2)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["MultVAE", "RecVAE", "CDAE", "HVamp", "RaCT"])
def test_networks_are_trained_on_a_device(name, tmp_path):
    gpu_library("torch")
    from fastlae import nn

    X = fastlae.data.make_interactions(n_users=400, n_items=120, seed=1)
    model = getattr(nn, name)(epochs=3, device="cuda").fit(X)
    items, scores = model.recommend(X[:20], k=10)
    assert items.shape == (20, 10)
    assert (items >= 0).all()
    model.save(tmp_path / "m.safetensors")
    again = fastlae.load(tmp_path / "m.safetensors").to("cpu")
    np.testing.assert_allclose(again.recommend(X[:20], k=10)[1], scores, rtol=1e-2, atol=1e-2)
