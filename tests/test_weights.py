"""The diagonal family and the Miller update against the papers' equations, solved column by column in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae.ops import deql_weights, miller_update

N = 12


def interactions(seed=0, users=60, items=N):
    rng = np.random.default_rng(seed)
    X = (rng.random((users, items)) < rng.uniform(0.1, 0.5, items)).astype(np.float64)
    X[0] = 1
    return X


def solve_columns(hessian, rhs, *, zero_diagonal=False, cap=None):
    """Column i minimises under the given constraint on entry i (DEQL paper, (17))."""
    n = len(rhs(0))
    W = np.zeros((n, n))
    for i in range(n):
        x, y = np.linalg.solve(hessian(i), np.stack([rhs(i), np.eye(n)[i]], axis=1)).T
        bound = 0.0 if zero_diagonal else cap
        if bound is not None and (zero_diagonal or x[i] > bound):
            x = x - (x[i] - bound) / y[i] * y
        W[:, i] = x
    return W


def expected_moments(G, p, a, b, i):
    """H and v of column i: expectations over the masks Delta of the other items and of item i, by enumeration.

    The loss of column i is E sum_u A_ui^2 (x_ui - sum_k Delta_uk x_uk W_ki)^2, A_ui = a where Delta_ui = 0, else b.
    """
    n = len(G)
    p = np.broadcast_to(p, n)
    H, v = np.zeros((n, n)), np.zeros(n)
    for kept, probability, weight in ((0.0, p[i], a * a), (1.0, 1 - p[i], b * b)):
        mean = 1 - p
        mean[i] = kept
        second = np.outer(mean, mean)
        np.fill_diagonal(second, mean)  # Delta^2 = Delta
        H += probability * weight * second * G
        v += probability * weight * mean * G[:, i]
    return H, v


def brute_deql(G, p, a, b, l2, zero_diagonal):
    free = b == 0 and l2 == 0  # the diagonal is free: zero is taken, and any positive pivot gives it
    pivot = l2 * np.eye(len(G))
    if free:
        return solve_columns(
            lambda i: expected_moments(G, p, a, b, i)[0] + np.diag(np.eye(len(G))[i]),
            lambda i: expected_moments(G, p, a, b, i)[1],
            zero_diagonal=True,
        )
    return solve_columns(
        lambda i: expected_moments(G, p, a, b, i)[0] + pivot,
        lambda i: expected_moments(G, p, a, b, i)[1],
        zero_diagonal=zero_diagonal,
    )


def inverse_for(G, p, a, b, l2):
    q = 1 - p
    ridge = p / q * np.diag(G) + (l2 / (q * q * (p * a * a + q * b * b)) if l2 else 0.0)
    return np.linalg.inv(G + np.diag(ridge))


@pytest.mark.parametrize("zero_diagonal", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.7, 40.0])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.8])
@pytest.mark.parametrize(("a", "b"), [(1, 0), (1, 0.1), (1, 1), (1, 2), (0.5, 0.3), (0, 1)])
def test_deql_weights_is_the_minimiser(a, b, p, l2, zero_diagonal):
    X = interactions()
    G = X.T @ X
    if p * a * a + (1 - p) * b * b == 0:
        with pytest.raises(ValueError, match="nothing to minimise"):
            deql_weights(np.eye(N), np.diag(G), l2=l2, dropout=p, a=a, b=b)
        return
    options = dict(l2=l2, dropout=p, a=a, b=b, zero_diagonal=zero_diagonal)
    want = brute_deql(G, p, a, b, l2, zero_diagonal)
    got = deql_weights(inverse_for(G, p, a, b, l2), np.diag(G), **options)
    np.testing.assert_allclose(got, want, atol=1e-11)
    model = fastlae.DEQL(**options, dtype="float64").fit(sp.csr_matrix(X))
    np.testing.assert_allclose(model.weights_, want, atol=1e-11)
    single = deql_weights(inverse_for(G, p, a, b, l2).astype(np.float32), np.diag(G), **options)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, want, atol=2e-4 * abs(want).max())


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    p=st.floats(0.01, 0.9),
    a=st.floats(0.1, 3),
    b=st.floats(0.05, 3),
    l2=st.one_of(st.just(0.0), st.floats(0.01, 100)),
    zero_diagonal=st.booleans(),
)
def test_deql_is_the_minimiser_for_any_parameters(seed, p, a, b, l2, zero_diagonal):
    X = interactions(seed, items=6)
    model = fastlae.DEQL(l2=l2, dropout=p, a=a, b=b, zero_diagonal=zero_diagonal, dtype="float64")
    want = brute_deql(X.T @ X, p, a, b, l2, zero_diagonal)
    np.testing.assert_allclose(model.fit(sp.csr_matrix(X)).weights_, want, atol=1e-8 * max(1, abs(want).max()))


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("zero_diagonal", [False, True])
@pytest.mark.parametrize(("a", "b"), [(1, 0), (1, 0.4), (1, 1), (0.3, 2)])
def test_dropout_per_item(a, b, zero_diagonal, form):
    X = interactions(3)
    p = np.random.default_rng(1).uniform(0.1, 0.8, N)
    options = dict(l2=0, dropout=p, a=a, b=b, zero_diagonal=zero_diagonal)
    want = brute_deql(X.T @ X, p, a, b, 0, zero_diagonal)
    model = fastlae.DEQL(**options, form=form, dtype="float64").fit(sp.csr_matrix(X))
    np.testing.assert_allclose(model.weights_, want, atol=1e-9)
    np.testing.assert_allclose(model.score(X), X @ want, atol=1e-9)
    C = np.linalg.inv(X.T @ X + np.diag(p / (1 - p) * (X.T @ X).diagonal()))
    np.testing.assert_allclose(deql_weights(C, (X.T @ X).diagonal(), **options), want, atol=1e-11)


LAMBDAS = {"one": 3.0, "per item": np.linspace(0.5, 9, N)}


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("l2", LAMBDAS.values(), ids=LAMBDAS)
@pytest.mark.parametrize("p", [0.0, 0.4, "per item"])
def test_ridge_models(form, l2, p):
    X = interactions(5)
    G = X.T @ X
    p = np.linspace(0.1, 0.7, N) if p == "per item" else p
    ridge = p / (1 - p) * np.diag(G) + l2
    hessian, rhs = (lambda i: G + np.diag(ridge)), (lambda i: G[:, i])
    dropout = {} if np.ndim(p) == 0 and p == 0 else {"dropout": p}
    free, zero, capped = (
        (fastlae.DLAE, fastlae.EDLAE, fastlae.RDLAE) if dropout else (fastlae.LAE, fastlae.EASE, fastlae.RLAE)
    )

    def fitted(cls, **more):
        return cls(l2=l2, **dropout, **more, form=form, dtype="float64").fit(sp.csr_matrix(X)).weights_

    np.testing.assert_allclose(fitted(free), solve_columns(hessian, rhs), atol=1e-10)
    np.testing.assert_allclose(fitted(zero), solve_columns(hessian, rhs, zero_diagonal=True), atol=1e-10)
    for xi in (-0.2, 0.0, 0.3, 0.8, 2.0):
        np.testing.assert_allclose(fitted(capped, xi=xi), solve_columns(hessian, rhs, cap=xi), atol=1e-10)


def test_models_that_coincide():
    X = sp.csr_matrix(interactions(7))

    def weights(cls, **params):
        return cls(**params, dtype="float64").fit(X).weights_

    p, b, l2 = 0.3, 0.6, 5.0
    g = 0.49 * (p + 0.7 * b * b)
    pairs = [
        (weights(fastlae.DEQL, l2=l2, dropout=p, b=b, zero_diagonal=True) * 0.7, dict(l2=l2 / g), fastlae.EDLAE),
        (weights(fastlae.DEQL, l2=0, dropout=p, a=1, b=1) * 0.7, dict(l2=0), fastlae.DLAE),
        (weights(fastlae.DEQL, l2=0, dropout=p, a=1, b=0) * 0.7, dict(l2=0), fastlae.EDLAE),
    ]
    for got, params, cls in pairs:
        np.testing.assert_allclose(got, weights(cls, **params, dropout=p), atol=1e-11)
    np.testing.assert_allclose(weights(fastlae.RLAE, l2=4, xi=0), weights(fastlae.EASE, l2=4), atol=1e-11)
    np.testing.assert_allclose(weights(fastlae.RLAE, l2=4, xi=1), weights(fastlae.LAE, l2=4), atol=1e-11)
    np.testing.assert_allclose(weights(fastlae.DLAE, l2=4, dropout=0), weights(fastlae.LAE, l2=4), atol=1e-11)
    # b -> 0 with l2 > 0 is a smooth limit
    tiny = weights(fastlae.DEQL, l2=2, dropout=p, b=1e-7)
    np.testing.assert_allclose(tiny, weights(fastlae.DEQL, l2=2, dropout=p, b=0), atol=1e-9)


def brute_miller(H0, V, E1, E2):
    X = np.zeros_like(H0)
    for i in range(len(H0)):
        H = H0.copy()
        H[:, i] += E1[:, i]
        H[i] += np.where(np.arange(len(H0)) == i, 0, E2[:, i])
        X[:, i] = np.linalg.solve(H, V[:, i])
    return X


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_miller_update_of_arbitrary_changes(n, dtype):
    rng = np.random.default_rng(n)
    S = rng.standard_normal((n, n))
    H0 = S @ S.T + n * np.eye(n)
    V, E1, E2 = rng.standard_normal((n, n)), 0.2 * rng.standard_normal((n, n)), 0.2 * rng.standard_normal((n, n))
    given_arrays = [np.linalg.inv(H0), V, E1, E2]
    arrays = [z.astype(dtype) for z in given_arrays]
    got = miller_update(*arrays)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, brute_miller(H0, V, E1, E2), atol=1e-3 if dtype == np.float32 else 1e-10)
    for array, before in zip(arrays, given_arrays, strict=True):
        np.testing.assert_array_equal(array, before.astype(dtype))
    np.testing.assert_array_equal(got, miller_update(*arrays, num_threads=3))


@pytest.mark.parametrize("l2", [0.0, 2.5])
@pytest.mark.parametrize(("a", "b", "p"), [(1, 0.3, 0.2), (1, 1.5, 0.6), (0.7, 0.7, 0.4)])
def test_miller_update_is_the_oracle_of_deql_weights(a, b, p, l2):
    """E1 and E2 of DEQL, as the paper's Theorem 4.1 takes them."""
    X = interactions(9)
    G, q = X.T @ X, 1 - p
    off = ~np.eye(N, dtype=bool)
    u = np.where(off, p * q * a * a + q * q * b * b, q * b * b)
    H0 = np.where(off, q * q * p * a * a + q**3 * b * b, q * p * a * a + q * q * b * b) * G + l2 * np.eye(N)
    E1 = np.where(off, -q * q * p * (a * a - b * b), -q * p * (a * a - b * b)) * G
    E2 = np.where(off, -q * q * p * (a * a - b * b), 0) * G
    want = miller_update(np.linalg.inv(H0), u * G, E1, E2)
    got = deql_weights(inverse_for(G, p, a, b, l2), np.diag(G), l2=l2, dropout=p, a=a, b=b)
    np.testing.assert_allclose(got, want, atol=1e-11)


def test_in_place_and_into_out():
    X = interactions()
    G = X.T @ X
    options = dict(l2=1.0, dropout=0.3, b=0.5)
    C = inverse_for(G, 0.3, 1.0, 0.5, 1.0)
    want = deql_weights(C, np.diag(G), **options)
    out = np.empty((N, 2 * N))[:, :N]  # rows apart
    assert deql_weights(C, np.diag(G), out=out, **options) is out
    np.testing.assert_array_equal(out, want)
    assert deql_weights(C, np.diag(G), out=C, num_threads=4, **options) is C
    np.testing.assert_array_equal(C, want)


def test_untouched_items_have_no_weights():
    X = interactions()
    X[:, [2, 7]] = 0
    for form in ("items", "users"):
        for cls in (fastlae.EASE, fastlae.LAE, fastlae.DLAE, fastlae.RDLAE, fastlae.DEQL):
            W = cls(l2=2.0, form=form).fit(sp.csr_matrix(X)).weights_
            assert not W[[2, 7]].any()
            assert not W[:, [2, 7]].any()


def read_only(array):
    array.flags.writeable = False
    return array


EYE = np.eye(4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(C=np.eye(4)[:3]), ValueError, "C: expected a square matrix"),
        (dict(C=np.eye(4, dtype=int)), TypeError, "C: expected float32 or float64"),
        (dict(C=np.eye(8)[::2, ::2]), ValueError, "C: rows must be contiguous"),
        (dict(C=np.diag([1, 1, np.nan, 1])), ValueError, "C: expected finite"),
        (dict(C=np.eye(4) + np.eye(4, k=1)), ValueError, "C: expected a symmetric matrix"),
        (dict(C=-np.eye(4)), ValueError, "C: expected a positive definite"),
        (dict(d=np.ones(3)), ValueError, "d: expected non-negative numbers of shape"),
        (dict(d=-np.ones(4)), ValueError, "d: expected non-negative"),
        (dict(d=[1, 1, np.inf, 1]), ValueError, "d: expected finite"),
        (dict(d="x"), TypeError, "d: expected numbers"),
        (dict(out=[[0.0] * 4] * 4), ValueError, "out: expected a NumPy array"),
        (dict(out=np.empty((4, 4), np.float32)), ValueError, "out: expected a NumPy array of float64"),
        (dict(out=np.empty((4, 5))), ValueError, "out: expected .* shape"),
        (dict(out=np.empty((4, 4), order="F")), ValueError, "out: rows must be contiguous"),
        (dict(out=read_only(np.empty((4, 4)))), ValueError, "out: the array is read-only"),
        (dict(l2=-1), ValueError, "l2: "),
        (dict(l2=np.nan), ValueError, "l2: "),
        (dict(l2="1"), TypeError, "l2: "),
        (dict(dropout=1), ValueError, "dropout: expected a probability"),
        (dict(dropout=-0.1), ValueError, "dropout: "),
        (dict(dropout=[0.5] * 3, l2=0), ValueError, "dropout: expected a number, or one per item"),
        (dict(dropout=[0.5] * 4), ValueError, "l2: must be 0 with a dropout per item"),
        (dict(a=-1), ValueError, "a: "),
        (dict(b=np.inf), ValueError, "b: "),
        (dict(a=[1]), ValueError, "a: expected one"),
        (dict(num_threads=-1), ValueError, "num_threads: "),
        (dict(num_threads=2**40), ValueError, "num_threads: "),
    ],
)
def test_bad_input_of_deql_weights(change, error, message):
    arguments = {**dict(C=np.eye(4), d=np.ones(4), l2=1.0, dropout=0.5), **change}
    with pytest.raises(error, match=message):
        deql_weights(arguments.pop("C"), arguments.pop("d"), **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(H0_inv=EYE[:2]), ValueError, "H0_inv: expected a square"),
        (dict(H0_inv=EYE + np.eye(4, k=1)), ValueError, "H0_inv: expected a symmetric"),
        (dict(H0_inv=EYE * np.nan), ValueError, "H0_inv: expected finite"),
        (dict(V=EYE.astype(np.float32)), ValueError, "V: expected float64"),
        (dict(E1=np.eye(5)), ValueError, "E1: expected float64 of shape"),
        (dict(E2=np.eye(8)[::2, ::2]), ValueError, "E2: rows must be contiguous"),
        (dict(V=EYE * np.nan), ValueError, "V, E1, E2: .* item 0"),
        (dict(E1=-np.diag([0.0, 0, 1, 0])), ValueError, "V, E1, E2: .* item 2"),
    ],
)
def test_bad_input_of_miller_update(change, error, message):
    arguments = {**dict(H0_inv=EYE, V=EYE, E1=0 * EYE, E2=0 * EYE), **change}
    with pytest.raises(error, match=message):
        miller_update(*arguments.values())
