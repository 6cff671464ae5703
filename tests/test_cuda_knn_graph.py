"""`knn_graph` of a matrix that lies on a device, a real one where there is one (tests/cuda_cases.py)."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.ops.knn_graph import METRICS

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch says that sparse_csr is new


def interactions(valued):
    rng = np.random.default_rng(0)
    B = (rng.random((70, 45)) < 0.2) * (rng.integers(1, 5, (70, 45)) if valued else 1)
    B[:, 4] = 0
    return sp.csr_matrix(B.astype(np.float32))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("valued", [False, True])
def test_equals_the_cpu(arrays, metric, valued, monkeypatch):
    monkeypatch.setattr("fastlae.ops.device.BLOCK_BYTES", 17 * 45 * 4)  # several blocks of rows
    X = interactions(valued)
    there = arrays.csr(X)
    options = {"k": 6, "metric": metric, "shrink": 1.5, "alpha": 0.3}
    items, best = fastlae.ops.nearest_neighbours(there, **options)
    for got, expected in zip((items, best), fastlae.ops.nearest_neighbours(X, **options), strict=True):
        np.testing.assert_array_equal(arrays.get(got), expected)
    got, expected = fastlae.ops.knn_graph(there, **options), fastlae.ops.knn_graph(X, **options)
    assert (got != expected).nnz == 0


def test_blocks_of_few_rows(arrays, monkeypatch):
    """A block of few rows shares out its columns, which takes more memory than many rows do."""
    monkeypatch.setattr("fastlae.ops.device.BLOCK_BYTES", 300 * 600 * 4)
    X = sp.random(20, 600, 0.05, "csr", random_state=0, dtype=np.float32)
    X.data[:] = 1
    got = fastlae.ops.nearest_neighbours(arrays.csr(X), k=3)
    np.testing.assert_array_equal(arrays.get(got[0]), fastlae.ops.nearest_neighbours(X, k=3)[0])


def test_refusals(arrays):
    there = arrays.csr(interactions(False))
    with pytest.warns(UserWarning, match="all others are kept"):
        fastlae.ops.knn_graph(there, k=45)
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        fastlae.ops.knn_graph(there, k=3, metric="cosin")
    with pytest.raises(ValueError, match="non-negative"):
        fastlae.ops.knn_graph(arrays.csr(-interactions(False)), k=3)
