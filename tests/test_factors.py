"""Scores of user and item vectors, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlae import ops


def reference(scores, k, hidden=None, columns=None):
    scores = np.array(scores, dtype=np.float64)
    if hidden is not None:
        scores[hidden.toarray() != 0] = -np.inf
    if columns is not None:
        scores[:, columns] = -np.inf
    items = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
    best = np.take_along_axis(scores, items, 1)
    items[best == -np.inf] = -1
    short = k - items.shape[1]
    if short > 0:
        items = np.pad(items, ((0, 0), (0, short)), constant_values=-1)
        best = np.pad(best, ((0, 0), (0, short)), constant_values=-np.inf)
    return items, best


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("users", "n", "dim", "k"), [(700, 1900, 33, 20), (1, 3000, 400, 5), (9, 40, 3, 60)])
def test_against_numpy(users, n, dim, k, dtype):
    rng = np.random.default_rng(users)
    P, E = rng.normal(size=(users, dim)).astype(dtype), rng.normal(size=(n, dim)).astype(dtype)
    bias = rng.normal(size=n)
    seen, columns = sp.random(users, n, 0.1, "csr", random_state=0), rng.random(n) < 0.1
    scores = ops.score_factors(P, E, bias=bias)
    want = P.astype(float) @ E.astype(float).T + bias
    np.testing.assert_allclose(scores, want, atol=1e-4 if dtype == np.float32 else 1e-11)
    assert scores.dtype == dtype
    items, best = ops.recommend_factors(P, E, k=k, bias=bias, hidden=seen, columns=columns)
    want_items, want_best = reference(scores, k, seen, columns)
    np.testing.assert_array_equal(items, want_items)
    np.testing.assert_array_equal(best, want_best.astype(np.float32))
    for threads in (1, 3):
        again = ops.recommend_factors(P, E, k=k, bias=bias, hidden=seen, columns=columns, num_threads=threads)
        np.testing.assert_array_equal(again[0], items)
        np.testing.assert_array_equal(again[1], best)
        np.testing.assert_array_equal(ops.score_factors(P, E, bias=bias, num_threads=threads), scores)
    out = np.empty_like(scores)
    assert ops.score_factors(P, E, bias=bias, out=out) is out
    np.testing.assert_array_equal(out, scores)
    # The same user alone has the same bits.
    np.testing.assert_array_equal(
        ops.recommend_factors(P[:1], E, k=k, bias=bias)[1], reference(scores[:1], k)[1].astype(np.float32)
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 6), st.integers(0, 9), st.integers(0, 4), st.integers(1, 12), st.integers(0, 99))
def test_ties_and_any_shape(users, n, dim, k, seed):
    rng = np.random.default_rng(seed)
    P, E = rng.integers(-1, 2, (users, dim)).astype(float), rng.integers(-1, 2, (n, dim)).astype(float)
    items, best = ops.recommend_factors(P, E, k=k)
    want_items, want_best = reference(P @ E.T, k)
    np.testing.assert_array_equal(items, want_items)
    np.testing.assert_array_equal(best, want_best)


def test_nan_never_wins():
    items, _ = ops.recommend_factors(np.ones((1, 1)), np.array([[1.0], [np.nan], [2.0]]), k=3)
    assert items.tolist() == [[2, 0, -1]]


def test_views_of_larger_arrays_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    P, E = rng.normal(size=(8, 20)), rng.normal(size=(30, 20))
    np.testing.assert_array_equal(
        ops.score_factors(P[:, :6], E[::2, :6]), ops.score_factors(P[:, :6].copy(), E[::2, :6].copy())
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(P=np.ones((2, 3), np.float32)), "P, E: expected one dtype"),
        (dict(P=np.ones((2, 3), int)), "P: expected a two-dim"),
        (dict(P=np.ones(3)), "P: expected a two-dim"),
        (dict(E=[[1.0] * 3]), "E: expected a two-dim"),
        (dict(P=np.ones((2, 4))), "P: expected 3 columns"),
        (dict(E=np.asfortranarray(np.ones((5, 3)))), "E: rows must be contiguous"),
        (dict(k=0), "k: expected at least 1"),
        (dict(k=1.5), "k: expected an integer"),
        (dict(bias=np.ones(4)), r"bias: expected shape \(5,\)"),
        (dict(bias=[np.nan] * 5), "bias"),
        (dict(columns=np.ones(5)), "columns: expected a vector of bool"),
        (dict(columns=np.ones(4, bool)), r"columns: expected shape \(5,\)"),
        (dict(hidden=sp.eye(3, 5)), "hidden: expected 2 rows"),
        (dict(hidden=sp.eye(2, 4)), "hidden: expected 5 columns"),
        (dict(num_threads=-1), "num_threads"),
    ],
)
def test_bad_input(change, message):
    arguments = dict(P=np.ones((2, 3)), E=np.ones((5, 3)), k=2) | change
    with pytest.raises((TypeError, ValueError), match=message):
        ops.recommend_factors(**arguments)


def test_bad_out():
    with pytest.raises(ValueError, match="out: expected"):
        ops.score_factors(np.ones((2, 3)), np.ones((5, 3)), out=np.empty((5, 2)))
