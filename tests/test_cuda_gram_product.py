"""`gram_product` and `implicit_slim` on arrays that lie on a device, emulated on the host (tests/cuda_stand_in.py)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import cuda_stand_in
import fastlae


@pytest.fixture(autouse=True)
def _device(monkeypatch):
    cuda_stand_in.install(monkeypatch)


def interactions(seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((70, 25)) < 0.2).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("l2", [0.0, 2.5])
def test_gram_product(dtype, l2):
    X = interactions()
    E = np.random.default_rng(0).standard_normal((25, 70)).astype(dtype)
    got = fastlae.ops.gram_product(cuda_stand_in.array(E), cuda_stand_in.csr_matrix(X), l2=l2)
    assert isinstance(got, cuda_stand_in.ndarray)
    np.testing.assert_allclose(cuda_stand_in.asnumpy(got), fastlae.ops.gram_product(E, X, l2=l2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("min_count", [0, 12])
def test_implicit_slim(min_count):
    X = interactions()
    E = np.random.default_rng(0).standard_normal((25, 6)).astype(np.float32)
    options = {"l2": 3.0, "alpha": 0.7, "min_count": min_count}
    got = fastlae.ops.implicit_slim(cuda_stand_in.array(E), cuda_stand_in.csr_matrix(X), **options)
    assert isinstance(got, cuda_stand_in.ndarray)
    expected = fastlae.ops.implicit_slim(E, X, **options)
    np.testing.assert_allclose(cuda_stand_in.asnumpy(got), expected, atol=1e-4 * np.abs(expected).max())


def test_refuses():
    X = cuda_stand_in.csr_matrix(interactions())
    with pytest.raises(ValueError, match="expected 24 columns"):
        fastlae.ops.gram_product(cuda_stand_in.array(np.ones((24, 2))), X)
    with pytest.raises(ValueError, match="alpha"):
        fastlae.ops.implicit_slim(cuda_stand_in.array(np.ones((25, 2))), X, l2=1.0, alpha=-1)
