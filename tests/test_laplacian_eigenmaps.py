"""Laplacian Eigenmaps, LEPORID, NetMF and SVD embeddings against their equations in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae.ops import laplacian_eigenmaps, netmf, svd_embeddings


def graph(n=60, density=0.2, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    W = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    return sp.csr_matrix((W + W.T).astype(dtype))


def normalized(W, alpha):
    w = W.sum(axis=1)
    w = w + alpha * (w.max() - w)
    scale = np.divide(1, np.sqrt(w), out=np.zeros_like(w), where=w > 0)
    return W * scale[:, None] * scale


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("dim", [1, 7, 60])
def test_against_a_dense_solver(alpha, dim):
    W = graph()
    N = normalized(W.toarray(), alpha)
    V = laplacian_eigenmaps(W, dim=dim, alpha=alpha)
    want = np.linalg.eigvalsh(N)[::-1][:dim]
    np.testing.assert_allclose(np.einsum("ij,ij->j", V, N @ V), want, atol=1e-12)
    np.testing.assert_allclose(N @ V, V * want, atol=1e-12)
    np.testing.assert_allclose(V.T @ V, np.eye(dim), atol=1e-12)
    assert (V[np.abs(V).argmax(axis=0), np.arange(dim)] > 0).all()
    if alpha == 0:  # the trivial vector is kept
        w = W.toarray().sum(axis=1)
        np.testing.assert_allclose(V[:, 0], np.sqrt(w / w.sum()), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_by_iteration(dtype, alpha, monkeypatch):
    monkeypatch.setattr(fastlae._eigen, "DENSE", 10)
    W = graph(1200, 0.03, 1, dtype)
    N = normalized(W.toarray().astype(np.float64), alpha)
    found = [laplacian_eigenmaps(W, dim=20, alpha=alpha, num_threads=threads) for threads in (1, 2, 2)]
    assert all(V.dtype == dtype for V in found)
    np.testing.assert_array_equal(found[1], found[2])
    V = found[0].astype(np.float64)
    values = np.einsum("ij,ij->j", V, N @ V)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(N)[::-1][:20], atol=1e-6)
    assert np.linalg.norm(N @ V - V * values, axis=0).max() < 3e-5
    np.testing.assert_allclose(found[1], found[0], atol=1e-2)


def test_it_asks_for_the_largest_and_not_for_the_largest_in_magnitude():
    """A bipartite graph has as large eigenvalues below zero."""
    B = graph(40, 0.5, 3).toarray()[:20, 20:]
    W = sp.csr_matrix(np.block([[np.zeros((20, 20)), B], [B.T, np.zeros((20, 20))]]))
    V = laplacian_eigenmaps(W, dim=5)
    N = normalized(W.toarray(), 0.0)
    values = np.einsum("ij,ij->j", V, N @ V)
    assert values.min() > 0
    np.testing.assert_allclose(values, np.linalg.eigvalsh(N)[::-1][:5], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 30), st.floats(0, 1), st.floats(0.05, 0.9))
def test_it_minimises_the_objective(seed, n, alpha, density):
    """Of equation (6), among orthonormal vectors of the scaled nodes; nodes may be isolated."""
    W = graph(n, density, seed)
    connected = int((np.diff(W.indptr) > 0).sum())
    if connected == 0:
        with pytest.raises(ValueError, match="dim: expected at most the 0 nodes"):
            laplacian_eigenmaps(W, dim=1, alpha=alpha)
        return
    V = laplacian_eigenmaps(W, dim=1, alpha=alpha)
    assert not V[np.diff(W.indptr) == 0].any()
    w = W.toarray().sum(axis=1)
    regular = w + alpha * (w.max() - w)

    def objective(v):
        q = np.divide(v, np.sqrt(regular), out=np.zeros_like(v), where=regular > 0)
        pairs = 0.5 * (W.toarray() * (q[:, None] - q[None, :]) ** 2).sum()
        return (pairs + alpha * ((w.max() - w) * q**2).sum()) / (v @ v)

    other = np.random.default_rng(seed).standard_normal(n) * (np.diff(W.indptr) > 0)
    assert objective(V[:, 0]) <= objective(other) + 1e-9


def test_isolated_nodes_and_standard_columns():
    W = sp.block_diag([graph(30), sp.csr_matrix((3, 3))]).tocsr()
    V = laplacian_eigenmaps(W, dim=6, alpha=0.5, standardize=True)
    assert not V[30:].any()
    np.testing.assert_allclose(V[:30].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(V[:30].std(axis=0), 1, atol=1e-12)
    ring = sp.csr_matrix(np.roll(np.eye(12), 1, axis=1) + np.roll(np.eye(12), -1, axis=1))
    assert not laplacian_eigenmaps(ring, dim=3, standardize=True)[:, 0].any()  # constant: nothing to standardize


@pytest.mark.parametrize(
    ("change", "options", "error", "text"),
    [
        (lambda W: W[:10], {}, ValueError, "square matrix"),
        (lambda W: sp.triu(W), {}, ValueError, "symmetric"),
        (lambda W: -W, {}, ValueError, "non-negative"),
        (lambda W: W * np.nan, {}, ValueError, "finite"),
        (lambda W: W, {"dim": 0}, ValueError, "dim: "),
        (lambda W: W, {"dim": 61}, ValueError, "dim: expected at most the 60 nodes"),
        (lambda W: W, {"dim": 2.0}, TypeError, "dim: "),
        (lambda W: W, {"alpha": -0.1}, ValueError, "alpha: "),
        (lambda W: W, {"alpha": 1.5}, ValueError, "alpha: "),
        (lambda W: W, {"tol": 0}, ValueError, "tol: "),
        (lambda W: "graph", {}, TypeError, "graph: "),
    ],
)
def test_what_it_refuses(change, options, error, text):
    with pytest.raises(error, match=text):
        laplacian_eigenmaps(change(graph()), **{"dim": 3, **options})


def test_it_warns_with_the_residual_that_it_reached(monkeypatch):
    monkeypatch.setattr(fastlae._eigen, "DENSE", 10)
    monkeypatch.setattr(fastlae._eigen.leading_eigenpairs, "__kwdefaults__", {"max_restarts": 0, "floor": 1e-11})
    with pytest.warns(fastlae.ConvergenceWarning, match=r"residual of .* of its eigenvalue"):
        laplacian_eigenmaps(graph(1200, 0.03), dim=20, tol=1e-9)


def test_netmf():
    n = 40
    W = graph(n)
    A = W.toarray()
    D = A.sum(axis=1)
    P, power, total = A / D[:, None], np.eye(n), np.zeros((n, n))
    for _ in range(10):
        power = power @ P
        total += power
    M = np.log(np.maximum(1, A.sum() / 10 * total / D))
    U, s, _ = np.linalg.svd(M)
    E = netmf(W, dim=5)
    np.testing.assert_allclose(np.linalg.norm(E, axis=0) ** 2, s[:5], rtol=1e-8)
    np.testing.assert_allclose(abs((E / np.sqrt(s[:5]) * U[:, :5]).sum(axis=0)), 1, atol=1e-6)


def test_netmf_by_iteration(monkeypatch):
    place = np.random.default_rng(0).random((700, 2)) * [1, 0.3]  # neighbours on a strip: eigenvalues that fall
    apart = np.linalg.norm(place[:, None] - place[None, :], axis=2)
    W = sp.csr_matrix(np.where((apart < 0.1) & (apart > 0), 1 - apart, 0))
    exact = netmf(W, dim=4)
    monkeypatch.setitem(netmf.__globals__, "_DENSE", 100)
    near = netmf(W, dim=4, rank=600)
    np.testing.assert_allclose(np.linalg.norm(near, axis=0), np.linalg.norm(exact, axis=0), rtol=0.02)
    assert abs((near * exact).sum(axis=0) / (np.linalg.norm(exact, axis=0) ** 2)).min() > 0.9
    isolated = netmf(sp.block_diag([W, sp.csr_matrix((2, 2))]).tocsr(), dim=4, rank=100)
    assert not isolated[-2:].any()
    with pytest.raises(ValueError, match="negative: "):
        netmf(W, dim=4, negative=0)
    with pytest.raises(ValueError, match="dim: "):
        netmf(W, dim=701)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (20, 1700)])
def test_svd_embeddings(shape):
    X = sp.random(*shape, 0.2, "csr", random_state=0)
    U, s, Vt = np.linalg.svd(X.toarray(), full_matrices=False)
    users, items = svd_embeddings(X, dim=6)
    np.testing.assert_allclose(np.linalg.norm(users, axis=0) ** 2, s[:6], rtol=1e-6)
    np.testing.assert_allclose(users @ items.T, U[:, :6] * s[:6] @ Vt[:6], atol=1e-6)
    assert (items[np.abs(items).argmax(axis=0), np.arange(6)] > 0).all()
    with pytest.raises(ValueError, match="dim: expected at most"):
        svd_embeddings(X, dim=min(shape) + 1)


@pytest.mark.parametrize("shape", [(900, 700), (700, 900)])
def test_svd_by_iteration(shape, monkeypatch):
    monkeypatch.setattr(fastlae._eigen, "DENSE", 10)
    X = sp.random(*shape, 0.05, "csr", random_state=0) @ sp.diags(np.linspace(1, 0.2, shape[1]) ** 2)
    X = sp.csr_matrix(X)
    s = np.linalg.svd(X.toarray(), compute_uv=False)[:5]
    users, items = svd_embeddings(X, dim=5)
    np.testing.assert_allclose(np.linalg.norm(users, axis=0) ** 2, s, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(items, axis=0) ** 2, s, rtol=1e-5)
    np.testing.assert_allclose((X @ items) / s, users, atol=1e-4)


def test_svd_beyond_the_rank():
    users, items = svd_embeddings(sp.csr_matrix(np.ones((4, 3), np.float32)), dim=3)
    assert items.dtype == np.float32
    np.testing.assert_allclose(users @ items.T, 1, rtol=1e-6)
    assert not users[:, 1:].any()
    assert not items[:, 1:].any()
