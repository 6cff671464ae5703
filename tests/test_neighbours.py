"""ItemKNN and UserKNN against dense brute force, for users seen and unseen, with ids, saved and explained."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import ItemKNN, UserKNN
from fastlae.ops.knn_graph import METRICS

ALPHA = 0.3


def interactions(users, items, seed, valued=False):
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 4)) @ rng.random((4, items)) / 3
    B = rng.random((users, items)) < taste * rng.uniform(0.1, 1, items)
    B[3] = False
    B[:, 5] = False
    return sp.csr_matrix(np.where(B, rng.integers(1, 5, B.shape) if valued else 1, 0).astype(np.float32))


def similarity(A, B, metric, shrink, alpha=ALPHA):
    """Of every row of A to every row of B."""
    A, B = A.toarray().astype(np.float64), B.toarray().astype(np.float64)
    if metric in ("jaccard", "conditional"):
        A, B = (A > 0) * 1.0, (B > 0) * 1.0
    C = A @ B.T
    a, b = (A**2).sum(1)[:, None], (B**2).sum(1)[None, :]
    scale = {
        "jaccard": a + b - C,
        "cosine": np.sqrt(a) * np.sqrt(b),
        "asymmetric_cosine": a**alpha * b ** (1 - alpha),
        "conditional": a + 0 * b,
    }[metric]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(C > 0, C / (scale + shrink), 0.0).astype(np.float32).astype(np.float64)


def best(S, k):
    """The k best of every row, ties to the smaller column, and zeros."""
    order = np.argsort(-S, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(S)
    np.put_along_axis(kept, order, np.take_along_axis(S, order, 1), 1)
    return kept


def to_one(S):
    total = S.sum(axis=1, keepdims=True)
    return S / np.where(total > 0, total, 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("valued", [False, True])
def test_item_weights(metric, normalize, valued):
    X = interactions(80, 30, 0, valued)
    model = ItemKNN(k=6, metric=metric, shrink=1.5, alpha=ALPHA, normalize=normalize).fit(X)
    S = similarity(X.T.tocsr(), X.T.tocsr(), metric, 1.5)  # S[i, j]: of what the user has to what is recommended
    np.fill_diagonal(S, 0)
    W = best(S.T, 6).T
    W = to_one(W) if normalize else W
    np.testing.assert_allclose(model.weights_.toarray(), W, rtol=1e-6)
    assert model.weights_.dtype == np.float32
    np.testing.assert_allclose(model.score(X), X @ W, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.item_counts_, np.diff(X.tocsc().indptr))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("valued", [False, True])
def test_user_scores(metric, normalize, valued):
    X, new = interactions(80, 30, 1, valued), interactions(25, 30, 2, valued)
    model = UserKNN(k=7, metric=metric, shrink=0.5, alpha=ALPHA, normalize=normalize).fit(X)
    S = best(similarity(new, X, metric, 0.5), 7)
    scores = (to_one(S) if normalize else S) @ X.toarray()
    np.testing.assert_allclose(model.score(new), scores, rtol=1e-5, atol=1e-6)
    items, got = model.recommend(new, k=5)
    masked = np.where((new.toarray() > 0) | (model.item_counts_ == 0), -np.inf, model.score(new).astype(np.float64))
    for u in range(25):
        assert (items[u] >= 0).all() == (S[u].any() and np.isfinite(masked[u]).sum() >= 5)
        if (items[u] >= 0).all():
            np.testing.assert_allclose(got[u], -np.sort(-masked[u])[:5], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(masked[u, items[u]], got[u], rtol=1e-5, atol=1e-6)
    assert (items[3] == -1).all()  # nothing is known of that user
    assert not (new.toarray()[np.arange(25)[:, None], np.maximum(items, 0)] * (items >= 0)).any()
    seen = model.recommend(new, k=5, exclude_seen=False)[0]
    assert (new.toarray()[np.arange(25)[:, None], np.maximum(seen, 0)] * (seen >= 0)).any()


@pytest.mark.parametrize(
    "model", [ItemKNN(k=5), UserKNN(k=9, metric="jaccard"), UserKNN(k=9, normalize=True)], ids=repr
)
def test_options_of_recommend(model):
    X = interactions(60, 25, 3)
    model.fit(X)
    few, _ = model.recommend(X, k=3, items=[1, 4, 8, 9])
    assert set(few.ravel()) <= {-1, 1, 4, 8, 9}
    without, _ = model.recommend(X, k=25, forbid=[0, 1])
    assert not np.isin(without, [0, 1, 5]).any()  # nobody has 5
    everything = sp.csr_matrix(np.ones(X.shape))
    assert (model.recommend(X, k=2, forbid=everything)[0] == -1).all()
    for threads in (1, 3):
        model.set_params(num_threads=threads)
        np.testing.assert_array_equal(model.recommend(X, k=3, items=[1, 4, 8, 9])[0], few)


@pytest.mark.parametrize("cls", [ItemKNN, UserKNN])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("valued", [False, True])
def test_contributions_add_up(cls, metric, valued):
    X = interactions(60, 25, 4, valued)
    model = cls(k=8, metric=metric, alpha=ALPHA).fit(X)
    x = X[7]
    scores = model.score(x)[0]
    for item in (2, 5, 11):
        items, parts = model.explain(x, item, k=25)
        assert set(items) == set(x.indices)
        assert parts.sum() == pytest.approx(scores[item], abs=1e-5)
        assert (np.diff(parts) <= 0).all()
        assert len(model.explain(x, item, k=2)[0]) == 2
    empty = model.explain(X[3], 2)
    assert len(empty[0]) == 0


@pytest.mark.parametrize("cls", [ItemKNN, UserKNN])
def test_ids_and_files(cls, tmp_path):
    X = interactions(40, 20, 5)
    log = fastlae.Interactions.from_matrix(X, item_ids=[f"item {i}" for i in range(20)])
    model = cls(k=6, metric="jaccard").fit(log)
    names, scores = model.recommend(users=[log.user_ids[0]], k=3)
    positions, expected = cls(k=6, metric="jaccard").fit(X).recommend(X[:1], k=3)
    assert names[0].tolist() == [f"item {i}" for i in positions[0]]
    np.testing.assert_array_equal(scores, expected)
    assert model.similar_items("item 3", k=2)[0].shape == (1, 2)
    assert model.explain(log.user_ids[0], names[0, 0])[0][0].startswith("item")
    for with_users in (True, False) if cls is ItemKNN else (True,):
        model.save(tmp_path / "model.safetensors", with_users=with_users)
        loaded = fastlae.load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(loaded.recommend(log, k=3)[0], model.recommend(log, k=3)[0])
        np.testing.assert_array_equal(loaded.score(X), model.score(X))
    assert loaded.get_params() == model.get_params()


def test_similar_items_are_the_weights_of_a_row():
    X = interactions(60, 25, 6)
    model = ItemKNN(k=24).fit(X)
    items, weights = model.similar_items([2, 5], k=4)
    row = model.weights_[2].toarray()[0]
    np.testing.assert_array_equal(items[0], np.argsort(-row, kind="stable")[:4])
    np.testing.assert_array_equal(weights[0], row[items[0]])


def test_a_user_of_the_training_by_k():
    """With one neighbour a user of the training is her own, and gets nothing."""
    X = interactions(40, 20, 7)
    items, scores = UserKNN(k=1).fit(X).recommend(X, k=1)
    assert (scores[items >= 0] == 0).mean() > 0.9


@pytest.mark.parametrize("cls", [ItemKNN, UserKNN])
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (4, 1), (1, 4)])
def test_tiny(cls, shape):
    X = sp.csr_matrix(np.ones(shape, np.float32))
    model = cls().fit(X)
    items, _ = model.recommend(X, k=2)
    assert items.shape == (shape[0], 2)
    assert (items == -1).all()
    assert model.score(X).shape == shape


@pytest.mark.parametrize("cls", [ItemKNN, UserKNN])
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"k": 0}, ValueError, "k: expected at least 1"),
        ({"k": 1.5}, TypeError, "k: expected an integer"),
        ({"metric": "cosinus"}, ValueError, "did you mean 'cosine'"),
        ({"shrink": -1}, ValueError, "shrink: expected"),
        ({"alpha": 2}, ValueError, "alpha: expected a number from 0 to 1"),
        ({"normalize": "rows"}, TypeError, "normalize: expected True or False"),
    ],
)
def test_refusals(cls, change, error, match):
    X = interactions(10, 8, 8)
    with pytest.raises(error, match=match):
        cls(**change).fit(X)
    with pytest.raises(fastlae.NotFittedError):
        cls().recommend(X)
    with pytest.raises(ValueError, match="X: expected non-negative values"):
        cls().fit(-X)
    with pytest.raises(ValueError, match="X: expected 8 columns"):
        cls().fit(X).recommend(X[:, :7])


def test_evaluate_and_beats_popularity():
    X = fastlae.data.make_interactions(n_users=600, n_items=150, n_interactions=15_000, seed=0)
    train, test = fastlae.data.split_weak(X, 0.2, seed=0)
    found = {
        cls.__name__: float(
            fastlae.evaluation.evaluate(cls().fit(train), train, test, k=20, metrics=["ndcg"])["ndcg@20"]
        )
        for cls in (fastlae.Popularity, ItemKNN, UserKNN)
    }
    assert min(found["ItemKNN"], found["UserKNN"]) > 1.1 * found["Popularity"], found
