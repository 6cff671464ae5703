"""SLIM against scikit-learn's elastic net where it is installed, and against its optimality conditions anyway."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae import SLIM, ConvergenceWarning, ops


def interactions(users=150, items=40, seed=0):
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 5)) @ rng.random((5, items)) / 2.5
    X = (rng.random((users, items)) < taste * rng.uniform(0.1, 0.9, items)).astype(float)
    X[3] = 0
    X[:, 5] = 0
    return sp.csr_matrix(X)


X = interactions()
G = (X.T @ X).toarray()


def reference(G, l1, l2, nonnegative, sweeps=3000):
    """Plain coordinate descent, column by column."""
    n = len(G)
    W = np.zeros((n, n))
    for j in range(n):
        w = W[:, j]
        for _ in range(sweeps):
            before = w.copy()
            for i in range(n):
                if i == j or G[i, i] + l2 == 0:
                    continue
                z = G[i, j] - G[i] @ w + G[i, i] * w[i]
                if z > l1:
                    w[i] = (z - l1) / (G[i, i] + l2)
                elif z < -l1 and not nonnegative:
                    w[i] = (z + l1) / (G[i, i] + l2)
                else:
                    w[i] = 0
            if abs(w - before).max() < 1e-13:
                break
    return W


def miss(G, W, l1, l2, nonnegative):
    """The largest violation of the optimality conditions, as a share of each column's largest G_ij."""
    rest = G - G @ W - l2 * W
    bound = np.where(W > 0, abs(rest - l1), np.where(W < 0, abs(rest + l1), 0))
    idle = np.maximum((rest if nonnegative else abs(rest)) - l1, 0)
    bound = np.where(W == 0, idle, bound)
    np.fill_diagonal(bound, 0)
    scale = (abs(G) - np.diag(np.diag(G))).max(axis=0)
    return (bound / np.where(scale > 0, scale, 1)).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize(("l1", "l2"), [(2.0, 1.0), (0.5, 0.0), (0.0, 5.0), (8.0, 20.0), (1e6, 1.0)])
def test_against_plain_coordinate_descent(l1, l2, nonnegative, dtype):
    tol = 1e-4 if dtype == np.float32 else 1e-9
    W = ops.slim(G.astype(dtype), l1=l1, l2=l2, nonnegative=nonnegative, tol=tol)
    assert W.dtype == dtype
    assert W.has_sorted_indices
    W = W.toarray().astype(float)
    assert miss(G, W, l1, l2, nonnegative) <= 2 * tol
    assert (np.diag(W) == 0).all()
    assert (W[5] == 0).all()
    assert (W[:, 5] == 0).all()
    if nonnegative:
        assert (W >= 0).all()
    if l2 > 0:  # a unique minimiser
        np.testing.assert_allclose(W, reference(G, l1, l2, nonnegative), atol=5e-3 if dtype == np.float32 else 1e-7)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_against_scikit_learn(nonnegative):
    linear_model = pytest.importorskip("sklearn.linear_model")
    l1, l2, m = 2.0, 3.0, X.shape[0]
    W = ops.slim(G, l1=l1, l2=l2, nonnegative=nonnegative, tol=1e-9).toarray()
    A = X.toarray()
    for j in range(0, A.shape[1], 3):
        net = linear_model.ElasticNet(
            alpha=(l1 + l2) / m, l1_ratio=l1 / (l1 + l2), positive=nonnegative, fit_intercept=False, tol=1e-10,
            max_iter=100_000,
        )  # fmt: skip
        others = A.copy()
        others[:, j] = 0
        np.testing.assert_allclose(W[:, j], net.fit(others, A[:, j]).coef_, atol=1e-6)


def test_zero_diagonal_ridge_is_ease():
    W = ops.slim(G, l1=0.0, l2=5.0, nonnegative=False, tol=1e-10).toarray()
    want = fastlae.EASE(l2=5.0, dtype="float64").fit(X).weights_
    np.testing.assert_allclose(W, want, atol=1e-7)


def test_more_active_items_than_are_copied():
    """Beyond 1,024 active items the descent runs on G itself."""
    rng = np.random.default_rng(0)
    n = 1040
    B = rng.normal(size=(6000, n))
    big = B.T @ B
    W = ops.slim(big, l1=0.0, l2=1500.0, nonnegative=False, tol=1e-5).toarray()
    assert (W != 0).sum(axis=0).min() > 1024
    C = np.linalg.inv(big + 1500 * np.eye(n))
    np.testing.assert_allclose(W, np.eye(n) - C / np.diag(C), atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(0, 12), seed=st.integers(0, 999), l1=st.floats(0, 5), l2=st.floats(0.01, 5), nonnegative=st.booleans()
)
def test_any_matrix(n, seed, l1, l2, nonnegative):
    A = np.random.default_rng(seed).integers(-1, 3, (9, n)).astype(float)
    H = A.T @ A
    W = ops.slim(H, l1=l1, l2=l2, nonnegative=nonnegative, tol=1e-8, max_sweeps=100_000)
    assert miss(H, W.toarray(), l1, l2, nonnegative) <= 2e-8 if n else W.shape == (0, 0)


def test_the_same_for_any_number_of_threads_and_with_a_warm_start():
    one = ops.slim(G, l1=1.0, l2=2.0, num_threads=1)
    for threads in (2, 5):
        other = ops.slim(G, l1=1.0, l2=2.0, num_threads=threads)
        np.testing.assert_array_equal(one.toarray(), other.toarray())
    near = ops.slim(G, l1=1.5, l2=2.0, tol=1e-9)
    warm = ops.slim(G, l1=1.0, l2=2.0, tol=1e-9, start=near)
    np.testing.assert_allclose(warm.toarray(), ops.slim(G, l1=1.0, l2=2.0, tol=1e-9).toarray(), atol=1e-8)
    # Weights that are not allowed in a start are passed over.
    odd = sp.csc_matrix(-np.ones(G.shape))
    np.testing.assert_allclose(ops.slim(G, l1=1.0, l2=2.0, tol=1e-9, start=odd).toarray(), warm.toarray(), atol=1e-8)


def test_it_warns_when_it_did_not_converge():
    with pytest.warns(ConvergenceWarning, match=r"columns did not converge in 1 sweeps: the worst misses"):
        ops.slim(G, l1=0.1, l2=0.0, tol=1e-10, max_sweeps=1)


def test_the_model(tmp_path):
    model = SLIM(l1=1.0, l2=2.0).fit(X)
    W = model.weights_
    np.testing.assert_allclose(W.toarray(), ops.slim(G, l1=1.0, l2=2.0).toarray(), atol=1e-3)
    np.testing.assert_allclose(model.score(X), X @ W.toarray(), atol=1e-5)
    items, scores = model.recommend(X, k=5)
    assert (items[3] == -1).all()
    assert (items != 5).all()
    masked = np.where(X.toarray() > 0, -np.inf, X @ W.toarray())
    masked[:, 5] = -np.inf
    np.testing.assert_allclose(scores[0], np.sort(masked[0])[::-1][:5], atol=1e-5)
    assert model.similar_items([2], k=3)[0].shape == (1, 3)
    assert model.explain(X[0], 7, k=40)[1].sum() == pytest.approx((X @ W.toarray())[0, 7], abs=1e-5)
    assert (np.diff(model.sparsify(top_k=2).weights_.tocsc().indptr) <= 2).all()
    model.save(tmp_path / "slim.safetensors")
    assert fastlae.load(tmp_path / "slim.safetensors").equals(model)
    scaled = SLIM(l1=1.0, l2=2.0, popularity_power=-0.5).fit(X)
    d = np.where(np.diag(G) > 0, np.diag(G), 1)
    np.testing.assert_allclose(scaled.weights_.toarray(), W.toarray() * d**-0.5, atol=1e-6)
    weighted = SLIM(l1=0.5, l2=2.0, user_power=0.5, dtype="float64", tol=1e-8).fit(X)
    w = fastlae.models.linear.user_weights(fastlae._sparse.as_csr(X), 0.5)
    H = (X.T @ sp.diags(w) @ X).toarray()
    assert miss(H, weighted.weights_.toarray(), 0.5, 2.0, True) < 1e-6


def test_a_path_of_models():
    path = SLIM(l2=2.0, tol=1e-6, dtype="float64").fit_path(X, [0.5, 4.0, 1.0])
    assert [model.l1 for model in path] == [0.5, 4.0, 1.0]
    for model in path:
        alone = SLIM(l1=model.l1, l2=2.0, tol=1e-6, dtype="float64").fit(X)
        np.testing.assert_allclose(model.weights_.toarray(), alone.weights_.toarray(), atol=1e-4)
    assert path[1].weights_.nnz < path[2].weights_.nnz < path[0].weights_.nnz
    assert SLIM().fit_path(X, []) == []
    log = fastlae.Interactions([1, 1, 2, 2], ["tea", "milk", "tea", "milk"])
    assert SLIM(l2=0.1).fit_path(log, [0.1])[0].similar_items("tea", k=1)[0].tolist() == [["milk"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(gram=G[:, :5]), "gram: expected a square"),
        (dict(gram=G.astype(int)), "gram: expected a two-dimensional NumPy array of float"),
        (dict(gram=sp.csr_matrix(G)), "gram: expected a two-dimensional"),
        (dict(gram=np.where(np.eye(40), np.nan, G)), "gram: expected finite"),
        (dict(gram=np.triu(G)), "gram: expected a symmetric"),
        (dict(l1=-1.0), "l1: expected one finite number, at least 0"),
        (dict(l2=np.inf), "l2: expected finite"),
        (dict(nonnegative=1), "nonnegative: expected True or False"),
        (dict(tol=0.0), "tol: expected a number between 0 and 1"),
        (dict(max_sweeps=0), "max_sweeps: expected at least 1"),
        (dict(start=sp.eye(3)), r"start: expected a sparse matrix of shape \(40, 40\)"),
        (dict(start=np.eye(40)), "start: expected a sparse"),
        (dict(start=sp.eye(40) * np.nan), "start: expected finite"),
        (dict(num_threads=-1), "num_threads"),
    ],
)
def test_bad_input(change, message):
    arguments = dict(gram=G, l1=1.0, l2=1.0) | change
    with pytest.raises((TypeError, ValueError), match=message):
        ops.slim(arguments.pop("gram"), **arguments)
