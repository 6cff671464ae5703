"""`ops.recommend` and `ops.topk` against a stable sort of dense scores."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae.ops import recommend, topk


def best(scores, k, hidden):
    """The k best of every row by a stable sort: ties to the smaller item, -1 and -inf where nothing is left."""
    scores = np.where(hidden | np.isnan(scores), -np.inf, scores)
    items = np.full((len(scores), k), -1)
    values = np.full((len(scores), k), -np.inf, np.float32)
    for row, s in enumerate(scores):
        order = [i for i in np.argsort(-s, kind="stable") if s[i] > -np.inf][:k]
        items[row, : len(order)], values[row, : len(order)] = order, s[order]
    return items, values


def same(got, want, **tolerance):
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_allclose(got[1], want[1], **{"rtol": 1e-6, **tolerance})
    assert got[0].dtype == np.int32
    assert got[1].dtype == np.float32


sizes = st.one_of(st.integers(0, 20), st.sampled_from([127, 128, 129, 257, 600]))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(0, 40),
    n=sizes,
    k=st.one_of(st.integers(1, 25), st.just(700)),
    dtype=st.sampled_from([np.float32, np.float64]),
    special=st.booleans(),
    scaled=st.booleans(),
)
def test_topk_is_a_stable_sort(seed, rows, n, k, dtype, special, scaled):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-4, 5, (rows, n)).astype(dtype)  # many ties
    if special:
        scores[rng.random((rows, n)) < 0.2] = np.nan
        scores[rng.random((rows, n)) < 0.2] = -np.inf
        scores[rng.random((rows, n)) < 0.1] = np.inf
    hidden, columns = rng.random((rows, n)) < 0.2, rng.random(n) < 0.1
    scale = rng.integers(1, 4, n).astype(dtype) if scaled else None
    want = best(scores * (1 if scale is None else scale), k, hidden | columns)
    options = dict(k=k, hidden=sp.csr_matrix(hidden), columns=columns, scale=scale)
    for threads in (1, 2, 5):
        same(topk(scores, **options, num_threads=threads), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", ["distinct", "ties", "one value", "mostly hidden", "infinite"])
def test_topk_of_long_rows(values, dtype):
    """Long enough for the bar to be raised beforehand."""
    rng = np.random.default_rng(3)
    rows, n, k = 6, 20_011, 100
    scores = rng.standard_normal((rows, n)).astype(dtype)
    hidden = rng.random((rows, n)) < (0.999 if values == "mostly hidden" else 0.1)
    if values == "ties":
        scores = np.round(scores)
    elif values == "one value":
        scores[:] = 0
    elif values == "infinite":
        scores[rng.random((rows, n)) < 0.02] = np.inf
        scores[rng.random((rows, n)) < 0.5] = np.nan
    want = best(scores, k, hidden)
    same(topk(scores, k=k, hidden=sp.csr_matrix(hidden)), want)
    each = sp.identity(rows, dtype, "csr")
    if values != "infinite":
        same(recommend(each, sp.csr_matrix(scores), k=k, exclude_seen=False, forbid=sp.csr_matrix(hidden)), want)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    users=st.one_of(st.integers(0, 3), st.integers(30, 80)),
    n=sizes,
    k=st.one_of(st.integers(1, 25), st.just(700)),
    dtype=st.sampled_from([np.float32, np.float64]),
    ones=st.booleans(),
    exclude_seen=st.booleans(),
    restrict=st.sampled_from([None, "some", "none"]),
    forbid=st.sampled_from([None, "everybody", "per user"]),
    layout=st.sampled_from(["dense", "csr", "csc"]),
)
def test_recommend_is_a_stable_sort(seed, users, n, k, dtype, ones, exclude_seen, restrict, forbid, layout):
    """Weights and values are small integers, so that sums are exact and ties frequent."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2 if ones else 4, (users, n)) * (rng.random((users, n)) < 10 / max(n, 1))
    X[::7] = 0  # users with nothing
    W = rng.integers(-3, 4, (n, n)) * (rng.random((n, n)) < 0.5)
    hidden = np.tile(~X.any(axis=1)[:, None], n)
    options = {}
    if exclude_seen:
        hidden |= X > 0
    if restrict and n:
        options["items"] = [] if restrict == "none" else rng.integers(0, n, 5)
        hidden |= ~np.isin(np.arange(n), options["items"])
    if forbid == "everybody" and n:
        options["forbid"] = rng.integers(0, n, 5)
        hidden |= np.isin(np.arange(n), options["forbid"])
    elif forbid == "per user":
        per_user = rng.random((users, n)) < 0.3
        options["forbid"] = sp.coo_matrix(per_user * rng.choice([-1.0, 2.0], (users, n)))
        hidden |= per_user
    weights = W.astype(dtype) if layout == "dense" else sp.csr_matrix(W.astype(dtype)).asformat(layout)
    want = best((X @ W).astype(float), k, hidden)
    for threads in (1, 2, 3, 8):
        same(
            recommend(sp.csr_matrix(X), weights, k=k, exclude_seen=exclude_seen, num_threads=threads, **options),
            want,
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("users", [1, 2, 5, 300])
def test_any_number_of_threads_gives_the_same_bits(users, dtype):
    rng = np.random.default_rng(users)
    X = sp.random(users, 3000, 0.01, "csr", random_state=1, dtype=dtype)
    W = rng.standard_normal((3000, 3000)).astype(dtype)
    one = recommend(X, W, k=50, num_threads=1)
    same(one, best((X @ W).astype(float), 50, X.toarray() > 0), rtol=1e-4)
    for threads in (2, 3, 4, 16, 0):
        again = recommend(X, W, k=50, num_threads=threads)
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])


def test_a_user_alone_and_among_others_gets_the_same():
    X = sp.random(50, 400, 0.05, "csr", random_state=2, dtype=np.float32)
    W = np.random.default_rng(0).standard_normal((400, 400)).astype(np.float32)
    items, scores = recommend(X, W, k=10)
    for u in (0, 17, 49):
        alone = recommend(X[[u]], W, k=10)
        np.testing.assert_array_equal(alone[0][0], items[u])
        np.testing.assert_array_equal(alone[1][0], scores[u])


def test_rectangular_weights_without_exclude_seen():
    X = sp.random(4, 6, 0.5, "csr", random_state=0, dtype=np.float32)
    W = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    empty = np.tile(np.diff(X.indptr)[:, None] == 0, 9)
    same(recommend(X, W, k=9, exclude_seen=False), best(X @ W, 9, empty), rtol=1e-5, atol=1e-6)


def test_weights_that_are_not_finite_never_win():
    W = np.zeros((4, 4), np.float32)
    W[0] = [0, np.nan, -np.inf, 1]
    items, scores = recommend(sp.csr_matrix([[1, 0, 0, 0]]), W, k=4)
    np.testing.assert_array_equal(items, [[3, -1, -1, -1]])
    np.testing.assert_array_equal(scores, [[1, -np.inf, -np.inf, -np.inf]])


def test_sparse_weights_that_are_not_finite_are_as_in_the_dense_form():
    W = np.zeros((4, 4), np.float32)
    W[0] = [0, np.nan, -np.inf, np.inf]
    x = sp.csr_matrix([[1, 0, 0, 0]])
    for got, want in zip(recommend(x, sp.csr_matrix(W), k=4), recommend(x, W, k=4), strict=True):
        np.testing.assert_array_equal(got, want)


def half_forms(W):
    """W in every half precision that can be had here, each with the float32 matrix of the same numbers."""
    yield (half := W.astype(np.float16)), half.astype(np.float32)
    bits = W.view(np.uint32) & 0xFFFF0000  # the upper half is a bfloat16
    exact = bits.view(np.float32)
    with contextlib.suppress(ImportError):
        import ml_dtypes

        yield exact.astype(ml_dtypes.bfloat16), exact
    with contextlib.suppress(ImportError):
        import torch

        yield torch.from_numpy(exact).to(torch.bfloat16), exact
        yield torch.from_numpy(exact).to(torch.bfloat16).requires_grad_(), exact


@pytest.mark.parametrize("users", [1, 7, 900])  # read in place, and packed
@pytest.mark.parametrize("ones", [True, False])
def test_half_precision_is_its_float32_summed_in_float32(users, ones):
    rng = np.random.default_rng(users)
    X = sp.random(users, 333, 0.05, "csr", random_state=3, dtype=np.float32)
    if ones:
        X.data[:] = 1
    W = rng.standard_normal((333, 333)).astype(np.float32)
    W[::5] *= 1e-6  # subnormal in float16
    for half, same_numbers in half_forms(W):
        for threads in (1, 2, 5):
            got = recommend(X, half, k=20, num_threads=threads)
            want = recommend(X, same_numbers, k=20)
            np.testing.assert_array_equal(got[0], want[0])
            np.testing.assert_array_equal(got[1], want[1])
            scores = fastlae.ops.score(X, half, num_threads=threads)
            assert scores.dtype == np.float32
            np.testing.assert_array_equal(scores, fastlae.ops.score(X, same_numbers))


def test_every_form_of_torch_tensor_is_told():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="W: expected a NumPy array, a torch tensor of bfloat16"):
        recommend(X, torch.ones(4, 4), k=1)
    with pytest.raises(ValueError, match="W: rows must be contiguous"):
        recommend(X, torch.ones(4, 8, dtype=torch.bfloat16)[:, ::2], k=1)


@pytest.mark.parametrize("name", ["indices", "indptr"])
@pytest.mark.parametrize("value", [-1, 99])
@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_sparse_weights_that_point_outside_are_refused(layout, name, value):
    broken = sp.csr_matrix(W).asformat(layout).copy()
    getattr(broken, name)[1] = value
    with pytest.raises(ValueError, match="W: "):
        recommend(X, broken, k=2)


def test_sparse_weights_with_duplicates_in_no_order_and_int64_indices():
    data, indices, indptr = np.array([1.0, 5, 2, 1]), np.array([3, 1, 3, 2]), np.array([0, 3, 4, 4, 4])
    W = sp.csr_matrix((data, indices, indptr), shape=(4, 4))
    W.indices, W.indptr = W.indices.astype(np.int64), W.indptr.astype(np.int64)
    got = recommend(sp.csr_matrix([[1, 1, 0, 0]]), W, k=4, exclude_seen=False)
    same(got, (np.array([[1, 3, 2, 0]]), [[5, 3, 1, 0]]))


def test_arguments_stay_as_they_are():
    scores = np.arange(12.0).reshape(3, 4)
    before = scores.copy()
    topk(scores, k=2, hidden=sp.csr_matrix(np.eye(3, 4)))
    np.testing.assert_array_equal(scores, before)


X = sp.csr_matrix(np.eye(3, 4, dtype=np.float32))
W = np.ones((4, 4), np.float32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(k=0), ValueError, "k: expected at least 1"),
        (dict(k=-3), ValueError, "k: expected at least 1"),
        (dict(k=2**40), ValueError, "k: expected .* less than"),
        (dict(k=2.0), TypeError, "k: expected an integer"),
        (dict(k=True), TypeError, "k: expected an integer"),
        (dict(k=None), TypeError, "k: expected an integer"),
        (dict(W=W.tolist()), TypeError, "W: expected a NumPy array"),
        (dict(W=W.astype(int)), TypeError, "W: expected a matrix of float32"),
        (dict(W=W.astype(np.uint16)), TypeError, "W: expected a matrix of float32"),
        (dict(W=W.astype(">f2")), TypeError, "W: expected a matrix of float32"),
        (dict(W=np.asfortranarray(W.astype(np.float16))), ValueError, "W: rows must be contiguous"),
        (dict(W=W[0]), TypeError, "W: expected a matrix"),
        (dict(W=np.asfortranarray(W)), ValueError, "W: rows must be contiguous"),
        (dict(W=np.ones((8, 8), np.float32)[::2, ::2]), ValueError, "W: rows must be contiguous"),
        (dict(W=W[:, :3]), ValueError, "exclude_seen: needs as many"),
        (dict(X=X[:, :3]), ValueError, "X: expected 4 columns"),
        (dict(X=X * np.inf), ValueError, "X: expected finite"),
        (dict(X="X"), TypeError, "X: expected"),
        (dict(X=X.astype(complex)), TypeError, "X: expected"),
        (dict(items=[4]), ValueError, "items: expected positions in 0 .. 3, got 4"),
        (dict(items=[-1]), ValueError, "items: expected positions"),
        (dict(items=[0.5]), TypeError, "items: expected a vector"),
        (dict(items=np.ones(4, bool)), TypeError, "items: expected a vector"),
        (dict(items={1}), TypeError, "items: expected a vector"),
        (dict(forbid=[9]), ValueError, "forbid: expected positions"),
        (dict(forbid="a"), TypeError, "forbid: expected a vector"),
        (dict(forbid=X[:2]), ValueError, "forbid: expected 3 rows"),
        (dict(forbid=X[:, :2]), ValueError, "forbid: expected 4 columns"),
        (dict(num_threads=-1), ValueError, "num_threads: "),
    ],
)
def test_bad_input_of_recommend(change, error, message):
    arguments = {**dict(X=X, W=W, k=2), **change}
    with pytest.raises(error, match=message):
        recommend(arguments.pop("X"), arguments.pop("W"), **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(scores=[[1.0]]), TypeError, "scores: expected"),
        (dict(scores=np.ones((2, 3), int)), TypeError, "scores: expected"),
        (dict(scores=np.ones((3, 2)).T), ValueError, "scores: rows must be contiguous"),
        (dict(scale=[1, 2]), ValueError, "scale: expected shape"),
        (dict(scale=[1, 2, np.nan]), ValueError, "scale: expected finite"),
        (dict(columns=[1, 0, 2]), TypeError, "columns: expected a vector of bool"),
        (dict(columns=[True]), ValueError, "columns: expected shape"),
        (dict(hidden=X[:1]), ValueError, "hidden: expected 3 columns"),
        (dict(hidden=X[:1, :3]), ValueError, "hidden: expected 2 rows"),
        (dict(k=0), ValueError, "k: expected"),
    ],
)
def test_bad_input_of_topk(change, error, message):
    arguments = {**dict(scores=np.ones((2, 3)), k=2), **change}
    with pytest.raises(error, match=message):
        topk(arguments.pop("scores"), **arguments)


def test_memory_is_told_before_it_is_taken():
    with pytest.raises(fastlae.MemoryNeededError, match="items for each of 3000000 users needs"):
        recommend(sp.csr_matrix((3_000_000, 4), dtype=np.float32), W, k=2**31 - 1)
