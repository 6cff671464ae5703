"""`gram_product` and `implicit_slim` on arrays that lie on a device, a real one where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch says that sparse_csr is new


def interactions(seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((70, 25)) < 0.2).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("l2", [0.0, 2.5])
def test_gram_product(arrays, dtype, l2):
    X = interactions()
    E = np.random.default_rng(0).standard_normal((25, 70)).astype(dtype)
    got = fastlae.ops.gram_product(arrays.put(E), arrays.csr(X), l2=l2)
    np.testing.assert_allclose(arrays.get(got), fastlae.ops.gram_product(E, X, l2=l2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("min_count", [0, 12])
def test_implicit_slim(arrays, min_count):
    X = interactions()
    E = np.random.default_rng(0).standard_normal((25, 6)).astype(np.float32)
    options = {"l2": 3.0, "alpha": 0.7, "min_count": min_count}
    got = fastlae.ops.implicit_slim(arrays.put(E), arrays.csr(X), **options)
    expected = fastlae.ops.implicit_slim(E, X, **options)
    np.testing.assert_allclose(arrays.get(got), expected, atol=1e-4 * np.abs(expected).max())


def test_refuses(arrays):
    X = arrays.csr(interactions())
    with pytest.raises(ValueError, match="expected 24 columns"):
        fastlae.ops.gram_product(arrays.put(np.ones((24, 2))), X)
    with pytest.raises(ValueError, match="alpha"):
        fastlae.ops.implicit_slim(arrays.put(np.ones((25, 2))), X, l2=1.0, alpha=-1)
