"""The Gram product: against the equation in float64, its properties, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import fastlae


def interactions(users: int, items: int, seed: int, values: bool = False) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    X = (rng.random((users, items)) < rng.uniform(0.02, 0.4, items)).astype(np.float64)
    return sp.csr_matrix(X * rng.random(X.shape) if values else X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [1, 15, 16, 33, 64])
@pytest.mark.parametrize("values", [False, True])
def test_against_the_equation(dtype, dim, values):
    X = interactions(300, 70, dim, values)
    rng = np.random.default_rng(dim)
    E = rng.standard_normal((70, dim)).astype(dtype)
    l2 = rng.random(70)
    expected = X.T @ (X @ E.astype(np.float64)) + l2[:, None] * E
    got = fastlae.ops.gram_product(E, X, l2=l2)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, atol=1e4 * np.finfo(dtype).eps)


@given(st.integers(0, 40), st.integers(0, 30), st.integers(0, 40), st.integers(0, 1000), st.floats(0, 100))
def test_equals_the_gram_matrix_times_embeddings(users, items, dim, seed, l2):
    X = interactions(users, items, seed)
    E = np.random.default_rng(seed).standard_normal((items, dim))
    G = fastlae.ops.gram(X, dtype="float64") + l2 * np.eye(items)
    np.testing.assert_allclose(fastlae.ops.gram_product(E, X, l2=l2), G @ E, atol=1e-9)


def test_same_bits_for_any_number_of_threads():
    X = interactions(4000, 800, 0)  # enough for several parts of the users
    E = np.random.default_rng(0).standard_normal((800, 40)).astype(np.float32)
    one = fastlae.ops.gram_product(E, X, num_threads=1)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(one, fastlae.ops.gram_product(E, X, num_threads=threads))


def test_out_and_columns_of_a_larger_matrix():
    X = interactions(50, 20, 1)
    E = np.random.default_rng(1).standard_normal((20, 9))
    out = np.full((20, 12), 7.0)
    got = fastlae.ops.gram_product(E[:, 2:7], X, out=out[:, 1:6])
    assert got.base is out
    np.testing.assert_allclose(out[:, 1:6], X.T @ (X @ E[:, 2:7]), atol=1e-12)
    assert (out[:, [0, 6, 7, 8, 9, 10, 11]] == 7).all()


def test_users_by_the_transpose():
    X = interactions(50, 20, 2)
    E = np.random.default_rng(1).standard_normal((50, 3))
    np.testing.assert_allclose(fastlae.ops.gram_product(E, X.T), X @ (X.T @ E), atol=1e-12)


@pytest.mark.parametrize(
    ("E", "options", "error", "message"),
    [
        (np.ones((5, 2), np.int64), {}, TypeError, "E: expected a matrix of float32 or float64"),
        ([[1.0]], {}, TypeError, "got list"),
        (np.ones(5), {}, TypeError, "1 dimension"),
        (np.ones((4, 2)), {}, ValueError, r"E: expected 5 rows.*\(4, 2\)"),
        (np.ones((2, 5)), {}, ValueError, "transposed"),
        (np.ones((3, 2)), {}, ValueError, r"X\.T"),
        (np.array([[1.0], [0], [np.nan], [0], [0]]), {}, ValueError, "row 2"),
        (np.ones((5, 2)), {"l2": np.inf}, ValueError, "l2"),
        (np.ones((5, 2)), {"l2": [1.0, 2.0]}, ValueError, r"l2.*\(2,\)"),
        (np.ones((5, 2)), {"out": np.ones((5, 2), np.float32)}, ValueError, "out: expected a NumPy array of float64"),
        (np.ones((5, 2)), {"out": np.ones((5, 3))}, ValueError, r"out: expected shape \(5, 2\)"),
        (np.ones((2, 5)).T.copy(order="F"), {}, ValueError, "contiguous"),
    ],
)
def test_refuses(E, options, error, message):
    with pytest.raises(error, match=message):
        fastlae.ops.gram_product(E, sp.csr_matrix(np.eye(3, 5)), **options)


def test_refuses_its_own_memory_as_output():
    E = np.ones((5, 2))
    with pytest.raises(ValueError, match="apart from E"):
        fastlae.ops.gram_product(E, sp.csr_matrix(np.eye(3, 5)), out=E)
