"""`evaluate`: what it asks of a model, and that its numbers are those of the metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import evaluation
from fastlae.evaluation import Evaluation, evaluate
from fastlae.evaluation.evaluate import METRICS


class Popularity:
    """Most popular unseen items; keeps what it was asked."""

    def __init__(self, train):
        self.popularity = np.asarray(train.sum(axis=0)).ravel()
        self.asked = []

    def recommend(self, X, k, *, exclude_seen=True):
        self.asked.append((X.copy(), k, exclude_seen))
        scores = np.tile(self.popularity, (X.shape[0], 1)).astype(np.float32)
        scores[X.nonzero()] = -np.inf
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
        scores = np.take_along_axis(scores, items, axis=1)
        items[scores == -np.inf] = -1
        return items, scores


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    cells = rng.random((30, 20))
    train = sp.csr_matrix((cells < 0.3).astype(np.float32))
    test = sp.csr_matrix(((cells > 0.8) & (np.arange(30) % 7 != 0)[:, None]).astype(np.float32))
    return train, test


@pytest.mark.parametrize("protocol", ["weak", "strong"])
def test_equals_the_metrics_of_all_users_lists(data, protocol):
    train, test = data
    result = evaluate(Popularity(train), train, test, k=(5, 2), metrics=METRICS, protocol=protocol)
    top, _ = Popularity(train).recommend(train, 5)
    assert len(result) == 14
    for name, metric in result.items():
        function, k = name.split("@")
        options = {"truncated": protocol == "strong"} if function == "recall" else {}
        want = getattr(evaluation, function)(top, test, int(k), **options)
        np.testing.assert_array_equal(metric.per_user, want.per_user)
        assert float(metric) == float(want)
        assert metric.definition == want.definition


@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
def test_asks_once_a_batch_and_only_for_users_with_targets(data, batch_size):
    train, test = data
    model = Popularity(train)
    result = evaluate(model, train.tocoo(), test.tocsc(), k=[3, 6], batch_size=batch_size)
    users = np.flatnonzero(test.getnnz(axis=1))
    shown = sp.vstack([X for X, _, _ in model.asked])
    assert (shown != train[users]).nnz == 0
    assert {(k, exclude) for _, k, exclude in model.asked} == {(6, True)}
    assert len(model.asked) == (1 if batch_size is None else -(-len(users) // batch_size))
    assert list(result) == ["recall@3", "recall@6", "ndcg@3", "ndcg@6"]
    assert result.n_users == len(users)
    assert result.n_left_out == 30 - len(users) >= 5
    assert float(result["ndcg@6"]) == float(evaluate(Popularity(train), train, test, k=6)["ndcg@6"])


def test_ratings_reach_the_model(data):
    train, test = data
    ratings = train * 3
    model = Popularity(ratings)
    evaluate(model, ratings, test)
    assert set(model.asked[0][0].data) == {3.0}


def test_more_slots_than_items_are_empty_slots(data):
    train, test = data

    class Padded(Popularity):
        def recommend(self, X, k, *, exclude_seen=True):
            items, scores = super().recommend(X, k)
            return np.pad(items, ((0, 0), (0, k - items.shape[1])), constant_values=-1), scores

    assert float(evaluate(Padded(train), train, test, k=25, metrics="recall")["recall@25"]) == 1.0


def test_report(data):
    train, test = data
    result = evaluate(Popularity(train), train, test, k=(2, 5), metrics=["ndcg"], protocol="strong")
    assert isinstance(result, Evaluation)
    text = str(result)
    assert f"{float(result['ndcg@5']):.4f}" in text
    assert "strong protocol: recall = h(k) / min(k, |T|)" in text
    assert f"{result.n_users} users, {result.n_left_out} left out" in text
    assert "ndcg@2=" in repr(result)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain == {
        "protocol": "strong",
        "n_users": result.n_users,
        "n_left_out": result.n_left_out,
        "ndcg@2": float(result["ndcg@2"]),
        "ndcg@5": float(result["ndcg@5"]),
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(protocol="middling"), ValueError, "protocol: expected one of .* got 'middling'"),
        (dict(metrics="accuracy"), ValueError, "metrics: expected some of .* got .'accuracy'"),
        (dict(metrics=()), ValueError, "metrics: expected some of"),
        (dict(k=()), ValueError, "k: expected one or more"),
        (dict(k=(5, 0)), ValueError, "k: expected one or more"),
        (dict(k=2.5), TypeError, "k: expected an integer"),
        (dict(batch_size=0), ValueError, "batch_size: expected at least 1"),
        (dict(num_threads=-1), ValueError, "num_threads: "),
        (dict(test=sp.csr_matrix((30, 20))), ValueError, "test: expected at least one target"),
        (dict(test=sp.csr_matrix(np.eye(30, 21))), ValueError, "test: expected the shape of train"),
        (dict(test=sp.csr_matrix(np.eye(29, 20))), ValueError, "test: expected the shape of train"),
        (dict(train="no"), TypeError, "train: "),
        (dict(model=object()), TypeError, "model: expected an object with a method recommend, got object"),
    ],
)
def test_bad_input_is_named(data, change, error, message):
    train, test = data
    with pytest.raises(error, match=message):
        evaluate(**{**dict(model=Popularity(train), train=train, test=test), **change})


@pytest.mark.parametrize(
    "items",
    [np.zeros((3, 4), int), np.zeros((26, 4)), np.full((26, 4), 20), np.full((26, 4), -2)],
    ids=["shape", "float", "too large", "negative"],
)
def test_a_model_that_answers_wrongly_is_told(items):
    class Wrong:
        def recommend(self, X, k, *, exclude_seen=True):
            return items, None

    test = sp.csr_matrix(np.ones((26, 20)))
    with pytest.raises(ValueError, match="model: expected recommend to return items"):
        evaluate(Wrong(), test, test, k=4)


def test_tail_users_apart():
    rng = np.random.default_rng(0)
    train = sp.csr_matrix((rng.random((40, 30)) < rng.uniform(0.05, 0.6, (40, 1))).astype(np.float32))
    held_out = sp.csr_matrix((rng.random((40, 30)) < 0.2).astype(np.float32))
    held_out = sp.csr_matrix(held_out - held_out.multiply(train))
    held_out.data[:] = 1
    found = evaluate(fastlae.Popularity().fit(train), train, held_out, k=(1, 5, 10), metrics=("hit_rate", "f1"))
    tail = fastlae.evaluation.tail_users(train)
    counts = train.getnnz(axis=1)
    assert len(tail) == 10
    assert counts[tail].max() <= np.delete(counts, tail).min()
    apart = found.among(tail)
    assert list(apart) == [f"{name}@{k}" for name in ("hit_rate", "f1") for k in (1, 5, 10)]
    for name, metric in apart.items():
        assert float(metric) == pytest.approx(np.nanmean(found[name].per_user[tail]))
        assert metric.n_users == np.count_nonzero(~np.isnan(found[name].per_user[tail]))
    assert apart.protocol == found.protocol
    mask = np.zeros(40, bool)
    mask[tail] = True
    assert found.among(mask).to_dict() == apart.to_dict()
    nobody = np.flatnonzero(held_out.getnnz(axis=1) == 0)[:1]
    with pytest.raises(ValueError, match="users: "):
        found.among(nobody)


@pytest.mark.parametrize("share", [0, 1.5, "few"])
def test_tail_users_refuses(share):
    with pytest.raises(ValueError, match="share: "):
        fastlae.evaluation.tail_users(sp.eye(3, format="csr"), share)


def test_f1_and_hit_rate_per_user_against_loops():
    rng = np.random.default_rng(1)
    train = sp.csr_matrix((rng.random((25, 20)) < 0.2).astype(np.float32))
    held_out = sp.csr_matrix((rng.random((25, 20)) < 0.2).astype(np.float32))
    model = fastlae.Popularity().fit(train)
    found = evaluate(model, train, held_out, k=(1, 5, 10), metrics=("hit_rate", "f1"))
    top = model.recommend(train, k=10)[0]
    for k in (1, 5, 10):
        for user in range(25):
            targets = set(held_out[[user]].indices)
            if not targets:
                continue
            hits = len(set(top[user, :k]) & targets)
            precision, recall = hits / k, hits / len(targets)
            f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
            assert found[f"f1@{k}"].per_user[user] == pytest.approx(f1)
            assert found[f"hit_rate@{k}"].per_user[user] == (hits > 0)
