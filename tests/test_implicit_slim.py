"""ImplicitSLIM: against the dense closed form in float64, its properties, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import fastlae
from fastlae.ops.implicit_slim import solve_semidefinite


def interactions(users: int, items: int, seed: int, values: bool = False) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    X = (rng.random((users, items)) < rng.uniform(0.02, 0.3, items)).astype(np.float64)
    return sp.csr_matrix(X * (1 + rng.random(X.shape)) if values else X)


def closed_form(E, X, *, l2, alpha, min_count=0, diagonal="approximate", base="ease", dropout=0.0):
    """Equations (9) and (12) as they stand, n x n."""
    dense = X.toarray()
    G, n = dense.T @ dense, dense.shape[1]
    ridge = l2 + dropout / (1 - dropout) * np.diag(G)
    P = np.linalg.inv(G + np.diag(ridge))
    if base == "dlae":
        I_minus_B = P @ np.diag(ridge)
    else:
        d = np.diag(P) if diagonal == "exact" else 1 / (np.diag(G) + ridge)
        I_minus_B = P @ np.diag(1 / d)
    R = I_minus_B @ I_minus_B.T
    A = np.where(((dense > 0).sum(axis=0) >= min_count)[:, None], E, 0.0)
    return alpha * E.T @ A @ A.T @ np.linalg.inv(R + alpha * A @ A.T), n


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("min_count", [0, 15])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"diagonal": "exact"},
        {"base": "edlae", "dropout": 0.3},
        {"base": "edlae", "dropout": 0.3, "diagonal": "exact"},
        {"base": "dlae", "dropout": 0.3},
        {"base": "dlae", "diagonal": "exact"},
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-3), (np.float64, 1e-9)])
def test_against_the_closed_form(values, min_count, options, dtype, tolerance):
    X = interactions(300, 60, 3, values)
    E = np.random.default_rng(0).standard_normal((60, 10))
    expected, _ = closed_form(E, X, l2=5.0, alpha=0.7, min_count=min_count, **options)
    got = fastlae.ops.implicit_slim(E.astype(dtype), X, l2=5.0, alpha=0.7, min_count=min_count, **options)
    assert got.dtype == dtype
    assert np.abs(got - expected.T).max() < tolerance * np.abs(expected).max()


def test_users_by_the_transpose():
    X = interactions(40, 60, 4)
    E = np.random.default_rng(0).standard_normal((40, 5))
    expected, _ = closed_form(E, X.T, l2=5.0, alpha=0.7)
    np.testing.assert_allclose(fastlae.ops.implicit_slim(E, X.T, l2=5.0, alpha=0.7), expected.T, atol=1e-9)


def test_a_diagonal_that_is_given():
    X = interactions(300, 60, 5)
    E = np.random.default_rng(0).standard_normal((60, 5))
    P = np.linalg.inv(fastlae.ops.gram(X, dtype="float64") + 3.0 * np.eye(60))
    exact = fastlae.ops.implicit_slim(E, X, l2=3.0, alpha=1.0, diagonal="exact")
    np.testing.assert_allclose(
        fastlae.ops.implicit_slim(E, X, l2=3.0, alpha=1.0, diagonal=np.diag(P)), exact, rtol=1e-4
    )


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 25), st.integers(0, 1000), st.floats(0.01, 100))
def test_follows_rotations_of_the_embeddings(users, items, dim, seed, alpha):
    """V(E Q) = V(E) Q for orthogonal Q: nothing but the geometry of the embeddings counts."""
    X = interactions(users, items, seed)
    rng = np.random.default_rng(seed)
    E = rng.standard_normal((items, dim))
    Q = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    one = fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=alpha)
    np.testing.assert_allclose(fastlae.ops.implicit_slim(E @ Q, X, l2=2.0, alpha=alpha), one @ Q, atol=1e-8)


def test_alpha_from_nothing_to_everything():
    X = interactions(200, 30, 6)
    E = np.random.default_rng(0).standard_normal((30, 4))
    assert (fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=0.0) == 0).all()
    V = fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=1e12)
    np.testing.assert_allclose(E.T @ V, E.T @ E, atol=1e-6)  # all similarities that A sees


def test_same_bits_for_any_number_of_threads():
    X = interactions(4000, 500, 0)
    E = np.random.default_rng(0).standard_normal((500, 40)).astype(np.float32)
    one = fastlae.ops.implicit_slim(E, X, l2=3.0, alpha=1.0, min_count=50, num_threads=1)
    np.testing.assert_array_equal(one, fastlae.ops.implicit_slim(E, X, l2=3.0, alpha=1.0, min_count=50, num_threads=3))


def test_repeated_application_stays_finite():
    """The embeddings fall into the space of a few directions, where A^T F is singular but for rounding."""
    X = interactions(300, 60, 7)
    E = np.random.default_rng(0).standard_normal((60, 50)).astype(np.float32)
    for _ in range(30):
        E = fastlae.ops.implicit_slim(E, X, l2=1.0, alpha=1e6)
        assert np.isfinite(E).all()


def test_a_matrix_that_rounding_made_indefinite():
    S = np.diag([1.0, -1e-3])
    np.testing.assert_allclose(solve_semidefinite(S, 1e6, np.ones((2, 1))), [[1e-6], [1.0]], rtol=1e-5)


def test_items_that_nobody_touched():
    X = interactions(100, 20, 8).tolil()
    X[:, [3, 7]] = 0
    E = np.random.default_rng(0).standard_normal((20, 4))
    expected, _ = closed_form(E, X.tocsr(), l2=2.0, alpha=1.0)
    np.testing.assert_allclose(fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=1.0), expected.T, atol=1e-9)
    assert (fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=1.0, min_count=1)[[3, 7]] == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"l2": 0}, ValueError, "l2: expected a positive number"),
        ({"l2": -1.0}, ValueError, "l2"),
        ({"alpha": -0.1}, ValueError, "alpha"),
        ({"alpha": np.nan}, ValueError, "alpha"),
        ({"min_count": 1000}, ValueError, "min_count: no item has 1000 users; the most that one has is"),
        ({"min_count": -1}, ValueError, "min_count"),
        ({"diagonal": "approx"}, ValueError, "diagonal"),
        ({"diagonal": np.ones(3)}, ValueError, "diagonal"),
        ({"diagonal": np.zeros(20)}, ValueError, "diagonal: expected finite, positive"),
        ({"base": "slim"}, ValueError, "base"),
        ({"dropout": 0.5}, ValueError, "dropout: base='ease' has none"),
        ({"dropout": 1.0, "base": "dlae"}, ValueError, "dropout"),
        ({"dropout": np.zeros(20), "base": "dlae"}, ValueError, "dropout"),
        ({"E": np.full((20, 2), np.nan)}, ValueError, "NaN"),
        ({"E": np.ones((19, 2))}, ValueError, "E: expected 20 rows"),
        ({"E": np.ones((20, 2), np.float16)}, TypeError, "float16"),
        ({"X": sp.csr_matrix(np.full((4, 20), np.inf))}, ValueError, "X: expected finite"),
    ],
)
def test_refuses(options, error, message):
    arguments = {"E": np.ones((20, 2)), "X": interactions(50, 20, 9), "l2": 1.0, "alpha": 1.0} | options
    with pytest.raises(error, match=message):
        fastlae.ops.implicit_slim(arguments.pop("E"), arguments.pop("X"), **arguments)
