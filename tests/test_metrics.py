"""Ranking metrics: against their formulas in plain loops, for any number of threads, and at the boundary."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlae import _core
from fastlae.evaluation import Metric, coverage, f1, hit_rate, mean_average_precision, mrr, ndcg, precision, recall

METRICS = {
    "recall": recall,
    "weak_recall": lambda *a, **kw: recall(*a, truncated=False, **kw),
    "precision": precision,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "f1": f1,
    "mean_average_precision": mean_average_precision,
    "mrr": mrr,
}


def oracle(name, row, targets, k):
    """One user's metric, slot by slot; a repeated item hits once."""
    hits, dcg, ap, first, seen = 0, 0.0, 0.0, 0.0, set()
    for r in range(1, k + 1):
        item = int(row[r - 1])
        if item in targets and item not in seen:
            hits += 1
            dcg += 1 / math.log2(r + 1)
            ap += hits / r
            first = first or 1 / r
        seen.add(item)
    t = len(targets)
    p, r = hits / k, hits / t
    return {
        "recall": hits / min(k, t),
        "weak_recall": r,
        "precision": p,
        "ndcg": dcg / sum(1 / math.log2(i + 1) for i in range(1, min(k, t) + 1)),
        "hit_rate": float(hits > 0),
        "f1": 2 * p * r / (p + r) if hits else 0.0,
        "mean_average_precision": ap / min(k, t),
        "mrr": first,
    }[name]


def example(seed, users=40, items=30, slots=12, density=0.2):
    """Lists with empty slots and repeated items, and targets of which some users have none."""
    rng = np.random.default_rng(seed)
    top = rng.integers(-1, items, (users, slots)).astype(np.int32)
    held_out = rng.random((users, items)) < density
    held_out[[0, users // 2]] = False
    return top, sp.csr_matrix(held_out.astype(np.float32))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_every_metric_follows_its_formula(name, k):
    top, held_out = example(k)
    got = METRICS[name](top, held_out, k)
    targets = [set(held_out[u].indices.tolist()) for u in range(len(top))]
    want = [oracle(name, top[u], targets[u], k) if targets[u] else math.nan for u in range(len(top))]
    np.testing.assert_allclose(got.per_user, want, rtol=1e-14)
    assert float(got) == pytest.approx(np.nanmean(want), rel=1e-14)
    assert got.per_user.dtype == np.float64
    assert got.n_left_out == sum(not t for t in targets) >= 2
    assert got.n_users + got.n_left_out == len(top)
    assert got.name == f"{name.removeprefix('weak_')}@{k}"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_properties(data):
    items = data.draw(st.integers(1, 12))
    slots = data.draw(st.integers(1, items))
    k = data.draw(st.integers(1, slots))
    row = data.draw(st.permutations(range(items)))[:slots]
    targets = data.draw(st.sets(st.integers(0, items - 1), min_size=1))
    held_out = sp.csr_matrix((np.ones(len(targets)), ([0] * len(targets), sorted(targets))), shape=(1, items))
    values = {name: float(metric([row], held_out, k)) for name, metric in METRICS.items()}
    for name, value in values.items():
        assert 0 <= value <= 1 + 1e-15, name
        assert value == pytest.approx(oracle(name, row, targets, k), rel=1e-14)
    assert values["weak_recall"] <= values["recall"] >= values["precision"]
    assert (values["mrr"] > 0) == (values["hit_rate"] == 1)
    # Targets first is the best list; what follows slot k does not matter.
    best = sorted(targets) + [i for i in range(items) if i not in targets]
    for name in ("recall", "ndcg", "hit_rate", "mean_average_precision", "mrr"):
        assert float(METRICS[name]([best], held_out, k)) == pytest.approx(1.0, rel=1e-14)
    tail = [[*row[:k], *([-1] * (slots - k))]]
    assert {name: float(metric(tail, held_out, k)) for name, metric in METRICS.items()} == values


def test_a_repeated_item_hits_once_and_keeps_its_slots():
    held_out = sp.csr_matrix([[1, 0, 1]])
    assert float(recall([[0, 0, 0]], held_out, 3)) == 0.5
    assert float(precision([[0, 0, 2]], held_out, 3)) == pytest.approx(2 / 3)
    assert float(ndcg([[0, 0, 2]], held_out, 3)) == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3)))


@pytest.mark.parametrize("name", METRICS)
def test_threads_do_not_change_a_bit(name):
    top, held_out = example(7, users=3000, items=200, slots=20)
    results = [METRICS[name](top, held_out, 20, num_threads=threads) for threads in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result.per_user, results[0].per_user)
        assert float(result) == float(results[0])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_any_integer_type_and_layout(dtype):
    top, held_out = example(3)
    top = np.maximum(top, 0).astype(dtype)
    want = recall(top.astype(np.int32), held_out, 5).per_user
    for form in (top, np.asfortranarray(top), np.repeat(top, 2, axis=1)[:, ::2]):
        form.flags.writeable = False
        np.testing.assert_array_equal(recall(form, held_out, 5).per_user, want)


@pytest.mark.parametrize("form", [sp.csc_matrix, sp.coo_array, sp.lil_matrix, sp.csr_array, lambda x: x.toarray()])
def test_any_sparse_format(form):
    top, held_out = example(4)
    np.testing.assert_array_equal(recall(top, form(held_out), 5).per_user, recall(top, held_out, 5).per_user)


def test_targets_may_be_unsorted_repeated_or_stored_zeros():
    held_out = sp.csr_matrix(([1.0, 2.0, 3.0, 0.0], [2, 0, 2, 1], [0, 4]), shape=(1, 4))
    before = held_out.copy()
    np.testing.assert_array_equal(recall([[2, 1]], held_out, 2).per_user, [0.5])
    np.testing.assert_array_equal(held_out.indices, before.indices)


BAD = [
    (dict(top=[0, 1]), ValueError, r"top: expected shape \(users, slots\), got 1 dim"),
    (dict(top=np.zeros((2, 3, 1), int)), ValueError, "top: .* got 3 dim"),
    (dict(top=[[0, 1], [2]]), ValueError, "top: expected shape"),
    (dict(top=np.zeros((2, 3))), TypeError, "top: expected item numbers of an integer type, got float64"),
    (dict(top=np.full((2, 3), np.nan)), TypeError, "top: .* got float64"),
    (dict(top=np.zeros((2, 3), bool)), TypeError, "top: .* got bool"),
    (dict(top=np.array([["a"] * 3] * 2)), TypeError, "top: "),
    (dict(top=[[0, 1, 4], [0, 1, 2]]), ValueError, "top: expected item numbers below 4, the number of items, got 4"),
    (dict(top=np.array([[0, 1, 2**32]] * 2)), ValueError, "top: .* got 4294967296"),
    (dict(top=[[0, 1, -2], [0, 1, 2]]), ValueError, "top: .* -1 for an empty slot, got -2"),
    (dict(top=np.zeros((3, 3), int)), ValueError, "top: expected one row for each of the 2 users of held_out"),
    (dict(held_out=sp.csr_matrix((2, 4))), ValueError, "held_out: expected at least one target"),
    (dict(held_out=sp.csr_matrix([[0, np.nan, 1, 1]] * 2)), ValueError, "held_out: expected finite"),
    (dict(held_out=sp.csr_matrix([[0, -1, 1, 1]] * 2)), ValueError, "held_out: expected non-negative"),
    (dict(held_out=np.ones(4)), TypeError, "held_out: expected a users x items matrix"),
    (dict(held_out="no"), TypeError, "held_out: "),
    (dict(k=4), ValueError, "k: expected at most 3, the slots of top, got 4"),
    (dict(k=0), ValueError, "k: expected at least 1, got 0"),
    (dict(k=2.0), TypeError, "k: expected an integer, got 2.0"),
    (dict(k=True), TypeError, "k: expected an integer, got True"),
    (dict(num_threads=-1), ValueError, "num_threads: expected 0"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
@pytest.mark.parametrize("metric", [recall, ndcg])
def test_bad_input_is_named(metric, change, error, message):
    good = dict(top=[[0, 1, 2], [3, 2, -1]], held_out=sp.csr_matrix([[1, 0, 0, 1], [0, 1, 0, 0]]), k=3)
    metric(**good)
    with pytest.raises(error, match=message):
        metric(**{**good, **change})


def test_binding_refuses_what_would_be_read_out_of_bounds():
    top = np.zeros((2, 3), np.int32)
    indptr, indices = np.array([0, 1, 2]), np.array([0, 1], np.int32)
    out = [np.empty((2, 1)) for _ in range(4)]

    def call(top=top, indptr=indptr, indices=indices, cutoffs=(3,), out=out):
        _core.ranking_sums(top, indptr, indices, 4, np.array(cutoffs, np.int32), *out, 1)

    call()
    for change in (
        dict(cutoffs=(4,)),
        dict(cutoffs=(0,)),
        dict(cutoffs=()),
        dict(cutoffs=(3, 2), out=[np.empty((2, 2)) for _ in range(4)]),
        dict(top=np.zeros((3, 3), np.int32)),
        dict(indices=np.array([0, 9], np.int32)),
        dict(indptr=np.array([0, 2, 1])),
        dict(out=[np.empty((2, 2)) for _ in range(4)]),
    ):
        with pytest.raises(ValueError, match=r"expected|out of order"):
            call(**change)
    for change in (dict(top=top.astype(np.int64)), dict(out=[np.empty((2, 1), np.float32)] * 4)):
        with pytest.raises(TypeError, match="expected a matrix"):
            call(**change)


def test_coverage():
    top = np.array([[0, 3, 5], [0, -1, 5]])
    assert coverage(top, 6, 1) == pytest.approx(1 / 6)
    assert coverage(top, 6, 3) == 0.5
    assert coverage(np.full((2, 3), -1), 6, 3) == 0.0
    assert coverage(np.zeros((0, 3), int), 6, 3) == 0.0
    for arguments, error, message in (
        ((top, 5, 3), ValueError, "top: .* below 5"),
        ((top, 0, 3), ValueError, "n_items: expected at least 1"),
        ((top, 6.0, 3), TypeError, "n_items: expected an integer"),
        ((top, 6, 4), ValueError, "k: expected at most 3"),
    ):
        with pytest.raises(error, match=message):
            coverage(*arguments)


def test_a_metric_is_a_number():
    top, held_out = example(5)
    metric = recall(top, held_out, 5)
    assert isinstance(metric, float)
    assert isinstance(metric, Metric)
    assert metric + 0 == float(metric)
    assert f"{metric:.3f}" == f"{float(metric):.3f}"
    assert str(metric) == str(float(metric))
    assert metric.standard_error == pytest.approx(np.nanstd(metric.per_user, ddof=1) / metric.n_users**0.5)
    assert math.isnan(Metric(np.array([1.0]), "x").standard_error)
    for twin in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert float(twin) == float(metric)
        assert twin.name == metric.name
        np.testing.assert_array_equal(twin.per_user, metric.per_user)
