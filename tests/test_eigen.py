"""Block Lanczos against dense eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from fastlae import ConvergenceWarning
from fastlae._eigen import dense_eigenpairs, leading_eigenpairs


def gram(n, seed, power=1.0):
    rng = np.random.default_rng(seed)
    X = sp.random(3 * n, n, 0.05, "csr", random_state=rng) @ sp.diags(np.arange(1, n + 1) ** -power)
    return (X.T @ X).toarray()


@pytest.mark.parametrize(("n", "k"), [(400, 1), (400, 5), (400, 60), (600, 100), (30, 20), (8, 8)])
def test_against_numpy(n, k):
    A = gram(n, n)
    found = leading_eigenpairs(lambda V: A @ V, n, k, tol=1e-8)
    want = np.linalg.eigvalsh(A)[::-1][:k]
    np.testing.assert_allclose(found.values, want, rtol=1e-9, atol=1e-10 * want[0])
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(k), atol=1e-9)
    miss = np.linalg.norm(A @ found.vectors - found.vectors * found.values, axis=0)
    assert (miss <= 1.1e-8 * found.values + 2e-11 * want[0]).all()
    same = dense_eigenpairs(A.copy(), k)
    np.testing.assert_allclose(same.values, want, rtol=1e-9, atol=1e-12 * want[0])


def test_fewer_directions_than_asked_for():
    """A matrix of rank 6, and the identity: the Krylov space ends at once."""
    rng = np.random.default_rng(0)
    B = rng.normal(size=(500, 6))
    found = leading_eigenpairs(lambda V: B @ (B.T @ V), 500, 20, tol=1e-6)
    np.testing.assert_allclose(found.values[:6], np.linalg.svd(B, compute_uv=False) ** 2, rtol=1e-8)
    assert abs(found.values[6:]).max() < 1e-8 * found.values[0]
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(20), atol=1e-8)
    found = leading_eigenpairs(lambda V: V, 500, 12, tol=1e-6)
    np.testing.assert_allclose(found.values, 1.0)
    found = leading_eigenpairs(lambda V: 0 * V, 500, 12, tol=1e-6)
    np.testing.assert_array_equal(found.values, 0.0)


def test_it_warns_with_the_residual_that_it_reached():
    A = gram(500, 1, power=0.1)
    with pytest.warns(ConvergenceWarning, match=r"of 40 eigenpairs did not converge in 0 restarts: the largest resid"):
        leading_eigenpairs(lambda V: A @ V, 500, 40, tol=1e-12, max_restarts=0)


def test_the_same_every_time():
    A = gram(400, 3)
    one, two = (leading_eigenpairs(lambda V: A @ V, 400, 20, tol=1e-6) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, two.vectors)


def test_a_model_passes_the_warning_on(monkeypatch):
    import fastlae
    from fastlae import _eigen

    monkeypatch.setattr(_eigen, "DENSE", 10)
    X = sp.random(900, 800, 0.02, "csr", random_state=0)
    model = fastlae.LRR(k=20, l2=1.0, tol=1e-6, dtype="float64").fit(X)
    s = np.linalg.svd(X.toarray(), compute_uv=False)[:20]
    np.testing.assert_allclose(model.singular_values_, s, rtol=1e-8)
    assert model.residual_ < 1e-5
    wide = fastlae.LRR(k=20, l2=1.0, tol=1e-6, dtype="float64").fit(X.T)
    np.testing.assert_allclose(wide.singular_values_, s, rtol=1e-8)
    for form in ("items", "users"):
        projected = fastlae.LREDLAE(k=10, l2=2.0, tol=1e-6, dtype="float64", form=form).fit(X)
        want = _dense_lredlae(X, 10, 2.0)
        assert np.linalg.norm(projected.weights_ - want) < 1e-4 * np.linalg.norm(want)
    monkeypatch.setattr(_eigen.leading_eigenpairs, "__kwdefaults__", {"max_restarts": 0, "floor": 1e-11})
    with pytest.warns(ConvergenceWarning, match="did not converge in 0 restarts"):
        fastlae.LRR(k=20, l2=1.0, tol=1e-9).fit(X)


def _dense_lredlae(X, k, l2):
    G = (X.T @ X).toarray()
    Lam = np.diag(G) + l2
    C = np.linalg.inv(G + np.diag(Lam))
    W = np.eye(len(G)) - C / np.diag(C)
    _, Q = np.linalg.eigh(W.T @ (G + np.diag(Lam)) @ W)
    Q = Q[:, -k:]
    return W @ Q @ Q.T
