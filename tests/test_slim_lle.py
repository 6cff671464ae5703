"""SLIM-LLE by its operator, against the dense eigenvectors of the equation."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae

module = sys.modules["fastlae.ops.slim_lle"]  # the name in the package is the function


def interactions(users: int, items: int, seed: int) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((users, items)) < rng.uniform(0.05, 0.4, items)).astype(np.float64))


def dense(X, l2, dim, sum_to_one):
    """Equation (4) and appendix A.2, n x n."""
    n = X.shape[1]
    M = np.linalg.inv((X.T @ X).toarray() + l2 * np.eye(n))
    if sum_to_one:
        one = M.sum(axis=1)
        M = M - np.outer(one, one) / one.sum()
        B = np.eye(n) - M / np.diag(M)
        np.testing.assert_allclose(B.sum(axis=0), 1)
        np.testing.assert_allclose(np.diag(B), 0, atol=1e-12)
    _, vectors = np.linalg.eigh(M @ np.diag(1 / np.diag(M) ** 2) @ M)
    first = 1 if sum_to_one else 0  # after the null vector
    return np.sqrt(n) * vectors[:, first : first + dim]


@pytest.mark.parametrize("sum_to_one", [True, False])
@pytest.mark.parametrize("solver", ["dense", "iterative"])
def test_against_the_dense_form(sum_to_one, solver, monkeypatch):
    monkeypatch.setattr(module, "_DENSE", 3000 if solver == "dense" else 0)
    X = interactions(200, 50, 0)
    got = fastlae.ops.slim_lle(X, l2=4.0, dim=6, sum_to_one=sum_to_one)
    expected = dense(X, 4.0, 6, sum_to_one)
    assert got.shape == (50, 6)
    for j in range(6):  # eigenvalues are apart, so vectors agree but for the sign
        assert abs(got[:, j] @ expected[:, j]) / 50 > 1 - 1e-6
    np.testing.assert_allclose(got.T @ got, 50 * np.eye(6), atol=1e-6)
    assert (got[np.abs(got).argmax(axis=0), np.arange(6)] > 0).all()
    if sum_to_one:
        np.testing.assert_allclose(got.sum(axis=0), 0, atol=1e-6)


def test_the_approximate_diagonal_and_users():
    X = interactions(60, 40, 1)
    G = (X @ X.T).toarray() + 3.0 * np.eye(60)
    _, vectors = np.linalg.eigh(G @ np.diag(1 / np.diag(G) ** 2) @ G)
    got = fastlae.ops.slim_lle(X.T, l2=3.0, dim=2, sum_to_one=False, diagonal="approximate")
    for j in range(2):
        assert abs(got[:, j] @ vectors[:, -1 - j]) / np.sqrt(60) > 1 - 1e-6


def test_dtype_and_repeatability():
    X = interactions(100, 30, 2)
    one = fastlae.ops.slim_lle(X.astype(np.uint8), l2=3.0, dim=4)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, fastlae.ops.slim_lle(X.astype(np.uint8), l2=3.0, dim=4, num_threads=1))


def test_items_that_nobody_touched():
    X = interactions(100, 30, 3).tolil()
    X[:, 4] = 0
    assert np.isfinite(fastlae.ops.slim_lle(X, l2=3.0, dim=4)).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"l2": 0.0}, ValueError, "l2: expected a positive"),
        ({"dim": 30}, ValueError, "dim: expected less than the number of items"),
        ({"dim": 0}, ValueError, "dim"),
        ({"dim": 1.5}, TypeError, "dim"),
        ({"tol": -1}, ValueError, "tol"),
        ({"diagonal": "none"}, ValueError, "diagonal"),
    ],
)
def test_refuses(options, error, message):
    with pytest.raises(error, match=message):
        fastlae.ops.slim_lle(interactions(40, 30, 0), **({"l2": 1.0, "dim": 3} | options))
