"""Batches and comparisons that the tests of fastlae.nn.functional share."""

from __future__ import annotations

import warnings

import torch

with warnings.catch_warnings(action="ignore"):  # once a process: sparse CSR tensors are in beta
    torch.eye(2).to_sparse_csr()
BATCH, ITEMS, HIDDEN = 7, 23, 5


def rows(batch=BATCH, items=ITEMS, *, seed=0, dtype=torch.float64, density=0.2):
    """A batch with an empty row and weights, dense and sparse."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(batch, items, generator=generator, dtype=dtype) + 0.5
    dense[torch.rand(batch, items, generator=generator) >= density] = 0
    dense[batch // 2] = 0
    return dense, dense.to_sparse_csr()


def normal(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def compare(ours, plain, *inputs, tolerance=1e-10):
    """Values and all gradients of two functions."""
    found = []
    for function in (ours, plain):
        leaves = [i.clone().requires_grad_() for i in inputs]
        out = function(*leaves)
        upstream = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)
        found.append((out.detach(), *torch.autograd.grad(out, leaves, upstream)))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


def spd(n=9, seed=4):
    half = normal(2 * n, n, seed=seed)
    return half.T @ half


def symmetric(function):
    return lambda a, *others: function((a + a.T) / 2, *others)
