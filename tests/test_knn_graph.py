"""The graph of nearest neighbours against dense brute force in float64, its properties, and what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae._backend import report_progress_to
from fastlae.ops import knn_graph, nearest_neighbours
from fastlae.ops.knn_graph import METRICS

ALPHA = 0.3


def similarities(X, metric, shrink=0.0, alpha=ALPHA):
    """S[i, j] of every pair from the definition, as float32; 0 on the diagonal."""
    B = np.asarray(X.todense(), np.float64)
    if metric in ("jaccard", "conditional"):
        B = (B != 0).astype(np.float64)
    C = B.T @ B
    d = C.diagonal()
    scale = {
        "jaccard": d[:, None] + d - C,
        "cosine": np.sqrt(d)[:, None] * np.sqrt(d),
        "asymmetric_cosine": d[:, None] ** alpha * d ** (1 - alpha),
        "conditional": np.broadcast_to(d[:, None], C.shape),
    }[metric]
    with np.errstate(invalid="ignore", divide="ignore"):
        S = np.where(C > 0, C / (scale + shrink), 0.0).astype(np.float32)
    np.fill_diagonal(S, 0)
    return S


def nearest(S, k):
    """The k best of every row by a stable sort, so that ties go to the smaller column."""
    order = np.argsort(-S, axis=1, kind="stable")[:, :k].astype(np.int32)
    best = np.take_along_axis(S, order, 1)
    return np.where(best > 0, order, -1), np.where(best > 0, best, -np.inf).astype(np.float32)


def united(S, k):
    items, best = nearest(S, k)
    kept = np.zeros_like(S)
    rows, slots = np.nonzero(items >= 0)
    kept[rows, items[rows, slots]] = best[rows, slots]
    return np.maximum(kept, kept.T)


def interactions(users, items, density, seed, valued=False):
    """Popular items and rare ones, empty rows and columns; values that make float32 sums exact."""
    rng = np.random.default_rng(seed)
    B = rng.random((users, items)) < density * rng.uniform(0.1, 3, items)
    B[::7] = False
    B[:, ::9] = False
    return sp.csr_matrix(np.where(B, rng.integers(1, 5, B.shape) if valued else 1, 0).astype(np.float32))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shrink", [0.0, 2.5])
@pytest.mark.parametrize(("users", "items", "density"), [(60, 40, 0.2), (30, 1300, 0.1), (400, 90, 0.3)])
@pytest.mark.parametrize("valued", [False, True])
def test_against_brute_force(metric, shrink, users, items, density, valued):
    X = interactions(users, items, density, seed=users, valued=valued)
    S = similarities(X, metric, shrink)
    for k in (1, 7, items - 1):
        options = {"k": k, "metric": metric, "shrink": shrink, "alpha": ALPHA}
        got_items, got = nearest_neighbours(X, **options)
        expected_items, expected = nearest(S, k)
        np.testing.assert_array_equal(got_items, expected_items)
        np.testing.assert_array_equal(got, expected)
        graph = knn_graph(X, **options)
        assert graph.dtype == np.float32
        assert graph.has_canonical_format
        np.testing.assert_array_equal(graph.toarray(), united(S, k))


@pytest.mark.parametrize("metric", METRICS)
def test_users_and_large_data(metric):
    """Enough columns and pairs for bits, several cuts of the candidates and several threads."""
    X = fastlae.data.make_interactions(n_users=1500, n_items=300, n_interactions=40_000, seed=3)
    S = similarities(sp.csr_matrix(X.T), metric)
    for threads in (1, 2, 5):
        graph = knn_graph(X.T, k=40, metric=metric, alpha=ALPHA, num_threads=threads)
        np.testing.assert_array_equal(graph.toarray(), united(S, 40))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 40),
    items=st.integers(2, 60),
    density=st.floats(0.0, 0.6),
    k=st.integers(1, 59),
    metric=st.sampled_from(METRICS),
    valued=st.booleans(),
)
def test_properties(seed, users, items, density, k, metric, valued):
    rng = np.random.default_rng(seed)
    B = (rng.random((users, items)) < density) * (rng.integers(1, 4, (users, items)) if valued else 1)
    X = sp.csr_matrix(B.astype(np.float64))
    k = min(k, items - 1)
    options = {"k": k, "metric": metric}
    graph = knn_graph(X, **options, num_threads=1)
    assert (graph != graph.T).nnz == 0
    assert not graph.diagonal().any()
    assert (graph.data > 0).all()
    assert graph.data.max(initial=0) <= 1.000001
    items_of, best = nearest_neighbours(X, **options)
    degrees = np.diff(graph.indptr)
    assert (degrees >= (items_of >= 0).sum(1)).all()
    assert graph.nnz <= 2 * (items_of >= 0).sum()
    np.testing.assert_array_equal(np.sort(best, axis=1)[:, ::-1], best)
    same = knn_graph(X, **options, num_threads=3)
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(graph, part), getattr(same, part))
    assert (graph != knn_graph(X[rng.permutation(users)], **options)).nnz == 0  # the order of users is nothing
    everything = knn_graph(X, k=items - 1, metric=metric)
    order = rng.permutation(items)
    renamed = knn_graph(X[:, order], k=items - 1, metric=metric)
    assert (everything[order][:, order] != renamed).nnz == 0


@pytest.mark.parametrize("ones", [True, False])
def test_ties_go_to_the_smaller_item(ones):
    X = sp.csr_matrix(np.ones((3, 6)) * (1 if ones else 2))
    items, best = nearest_neighbours(X, k=2, metric="cosine")
    np.testing.assert_array_equal(items, [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(best, 1, rtol=1e-6)


def test_many_ties():
    """More ties than a buffer of candidates holds."""
    X = sp.csr_matrix(np.ones((2, 700), np.float32))
    for k in (1, 5, 100):
        items, _ = nearest_neighbours(X, k=k)
        np.testing.assert_array_equal(items[0], np.arange(1, k + 1))
        np.testing.assert_array_equal(items[-1], np.arange(k))


def test_what_k_and_emptiness_do():
    X = interactions(30, 20, 0.3, seed=1)
    with pytest.warns(UserWarning, match="k: 20 neighbours of 20 items asked for: all others are kept"):
        graph = knn_graph(X, k=20)
    np.testing.assert_array_equal(graph.toarray(), similarities(X, "jaccard"))
    with pytest.warns(UserWarning, match="all others are kept"):
        assert nearest_neighbours(X, k=10**6)[0].shape == (20, 19)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert knn_graph(X, k=19).nnz == graph.nnz
    assert knn_graph(sp.csr_matrix((5, 8)), k=3).nnz == 0
    assert knn_graph(sp.csr_matrix((0, 8)), k=3).shape == (8, 8)
    with pytest.warns(UserWarning, match="all others"):
        assert knn_graph(sp.csr_matrix(np.ones((4, 1))), k=1).nnz == 0
    with pytest.warns(UserWarning, match="all others"):
        assert knn_graph(sp.csr_matrix((4, 0)), k=1).shape == (0, 0)


def test_every_format_is_taken():
    X = interactions(30, 20, 0.3, seed=2)
    expected = knn_graph(X, k=4).toarray()
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        for data in (X.asformat(kind), getattr(sp, f"{kind}_array")(X)):
            np.testing.assert_array_equal(knn_graph(data, k=4).toarray(), expected)
    for data in (X.toarray(), X.astype(np.uint8), X.astype(np.float64), X.astype(bool)):
        np.testing.assert_array_equal(knn_graph(data, k=4).toarray(), expected)
    log = fastlae.Interactions.from_matrix(X)
    np.testing.assert_array_equal(knn_graph(log, k=4).toarray(), expected)
    twice = sp.coo_matrix((np.tile(X.tocoo().data, 2), np.tile(np.array(X.nonzero()), 2)), shape=X.shape)
    np.testing.assert_array_equal(knn_graph(twice, k=4).toarray(), expected)  # sets: 2 is as good as 1


def test_large_and_small_values():
    """Inner products far outside of what float32 holds."""
    X = interactions(40, 30, 0.3, seed=5, valued=True).astype(np.float64)
    expected = knn_graph(X, k=5, metric="cosine").toarray()
    for scale in (1e-60, 1e60):
        np.testing.assert_allclose(knn_graph(X * scale, k=5, metric="cosine").toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"k": 0}, ValueError, "k: expected at least 1"),
        ({"k": -3}, ValueError, "k: expected at least 1"),
        ({"k": 2.0}, TypeError, "k: expected an integer"),
        ({"metric": "jacard"}, ValueError, "metric: expected one of .* got 'jacard'; did you mean 'jaccard'"),
        ({"metric": 3}, ValueError, "metric: expected one of"),
        ({"shrink": -1}, ValueError, "shrink: expected"),
        ({"shrink": np.nan}, ValueError, "shrink: expected"),
        ({"shrink": np.inf}, ValueError, "shrink: expected finite numbers"),
        ({"alpha": 1.5}, ValueError, "alpha: expected a number from 0 to 1"),
        ({"X": -np.eye(3)}, ValueError, "X: expected non-negative values"),
        ({"X": np.full((3, 3), np.nan)}, ValueError, "X: expected finite values"),
        ({"X": np.ones(3)}, TypeError, "X: expected a users x items matrix"),
        ({"num_threads": -1}, ValueError, "num_threads"),
    ],
)
def test_refusals(change, error, match):
    arguments = {"X": np.eye(3), "k": 1} | change
    for call in (knn_graph, nearest_neighbours):
        with pytest.raises(error, match=match):
            call(arguments["X"], **{name: value for name, value in arguments.items() if name != "X"})


def test_progress_is_told_and_a_call_can_be_stopped():
    X = fastlae.data.make_interactions(n_users=1500, n_items=300, n_interactions=40_000, seed=3).T
    told = []

    def stop(done):
        told.append(done)
        raise KeyboardInterrupt

    def work():
        for _ in range(100):
            knn_graph(X, k=200, num_threads=2)

    report_progress_to(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        report_progress_to(None)
    assert 0 <= told[0] <= 1


def test_too_large_is_refused_before_it_begins():
    with pytest.raises(fastlae.MemoryNeededError, match="a graph of 2000000 items with 1000000 neighbours"):
        knn_graph(sp.csr_matrix((3, 2_000_000)), k=1_000_000)
