"""Splits: nothing lost, nothing shared, sizes as the protocols say, and the same again for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlae import _core
from fastlae.data import make_interactions, split_strong, split_weak


@settings(max_examples=40, deadline=None)
@given(
    users=st.integers(1, 30),
    items=st.integers(5, 40),
    fraction=st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.9]),
    seed=st.integers(0, 2**32),
)
def test_weak_split_partitions_every_user(users, items, fraction, seed):
    rng = np.random.default_rng(seed)
    cells = np.where(rng.random((users, items)) < 0.5, rng.integers(1, 6, (users, items)), 0)
    cells[0] = 1
    X = sp.csr_matrix(cells)
    want = [math.floor(round(fraction * int(n), 9)) for n in X.getnnz(axis=1)]
    if not any(want):
        with pytest.raises(ValueError, match="X: expected a user with at least"):
            split_weak(X, fraction, seed)
        return
    train, test = split_weak(X, fraction, seed)
    assert train.shape == test.shape == X.shape
    assert train.dtype == test.dtype == np.float32
    assert (train + test != X).nnz == 0
    assert train.nnz + test.nnz == X.nnz
    assert train.multiply(test).nnz == 0
    assert test.getnnz(axis=1).tolist() == want
    assert train.has_canonical_format
    assert test.has_canonical_format


def test_weak_split_is_uniform_over_a_users_items():
    X = sp.csr_matrix(np.ones((20_000, 10)))
    _, test = split_weak(X, 0.3)
    assert np.abs(test.getnnz(axis=0) / 20_000 - 0.3).max() < 0.015  # 4.6 standard deviations


@pytest.mark.parametrize("make", [sp.csc_matrix, sp.coo_array, sp.csr_array, lambda x: x.toarray()])
def test_any_format_gives_the_same_split(make):
    X = make_interactions(60, 40, 600)
    for got, want in zip(split_weak(make(X)), split_weak(X), strict=True):
        assert (got != want).nnz == 0
    assert (split_strong(make(X)).test_targets != split_strong(X).test_targets).nnz == 0


def test_seeds():
    X = make_interactions(200, 50, 4000)
    first, again, other = split_weak(X, seed=1)[1], split_weak(X, seed=1)[1], split_weak(X, seed=2)[1]
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0
    assert (split_weak(X, seed=np.random.default_rng(1))[1] != first).nnz == 0
    a, b, c = (split_strong(X, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.test_users, b.test_users)
    assert (a.test_targets != b.test_targets).nnz == 0
    assert set(a.test_users) != set(c.test_users)


def test_the_smallest_keys_of_a_row_are_the_test_part():
    X = make_interactions(150, 60, 3000).multiply(2.5).tocsr()
    _, test = split_weak(X, 0.3, seed=4)
    keys = np.random.default_rng(4).random(X.nnz)
    for u in range(150):
        row = slice(X.indptr[u], X.indptr[u + 1])
        smallest = np.argsort(keys[row])[: math.floor(0.3 * (X.indptr[u + 1] - X.indptr[u]) + 1e-9)]
        assert test[u].indices.tolist() == sorted(X.indices[row][smallest])
    assert set(test.data) == {2.5}


def test_a_seed_means_the_same_split_everywhere():
    _, test = split_weak(sp.csr_matrix(np.ones((3, 8))), 0.5, seed=7)
    assert test.indices.reshape(3, 4).tolist() == [[0, 3, 4, 6], [2, 3, 4, 5], [4, 5, 6, 7]]


def test_threads_do_not_change_a_split():
    X = make_interactions(3000, 200, 60_000)
    X.data[::2] = 3.5
    one, strong = split_weak(X, num_threads=1), split_strong(X, num_threads=1)
    for threads in (2, 3, 8):
        for got, want in zip(split_weak(X, num_threads=threads), one, strict=True):
            np.testing.assert_array_equal(got.indptr, want.indptr)
            np.testing.assert_array_equal(got.indices, want.indices)
            np.testing.assert_array_equal(got.data, want.data)
        assert (split_strong(X, num_threads=threads).test_targets != strong.test_targets).nnz == 0


def test_binding_refuses_what_would_be_written_out_of_bounds():
    X = sp.csr_matrix(np.ones((2, 3), np.float32))

    def call(taken=(0, 1, 3), keys=6, kept=3, values=X.data, kept_values=3, dtype=np.float32):
        _core.split_rows(
            X.indptr.astype(np.int64),
            X.indices,
            values,
            3,
            np.zeros(keys, np.uint64),
            np.array(taken),
            np.empty(kept, np.int32),
            np.empty(kept_values, dtype),
            np.empty(taken[-1], np.int32),
            np.empty(taken[-1], dtype),
            1,
        )

    call()
    call(values=None)
    for change in (
        dict(taken=(0, 4, 5), kept=1, kept_values=1),
        dict(taken=(0, 2, 1), kept=5, kept_values=5),
        dict(taken=(1, 2, 3)),
        dict(taken=(0, 3)),
        dict(keys=5),
        dict(kept=4),
        dict(kept_values=4),
    ):
        with pytest.raises(ValueError, match="expected"):
            call(**change)
    with pytest.raises(TypeError, match="kept: expected a vector of float32"):
        call(dtype=np.float64)


def test_input_is_not_changed_and_float64_is_kept():
    X = sp.csr_matrix(([1.0, 2.0, 0.0, 1.0] * 5, [3, 1, 0, 3] * 5, np.arange(6) * 4), shape=(5, 4))
    before = X.copy()
    train, test = split_weak(X, 0.5)
    np.testing.assert_array_equal(X.indices, before.indices)
    np.testing.assert_array_equal(X.data, before.data)
    assert train.dtype == test.dtype == np.float64
    assert set(train.data) | set(test.data) == {2.0}  # the item given twice adds up to 2


@settings(max_examples=30, deadline=None)
@given(
    users=st.integers(20, 80),
    items=st.integers(5, 60),
    seed=st.integers(0, 2**32),
    fold_in=st.sampled_from([0.5, 0.8, 0.9]),
)
def test_strong_split_follows_the_protocol(users, items, seed, fold_in):
    rng = np.random.default_rng(seed)
    cells = rng.random((users, items)) < rng.random((users, 1)) * 0.6
    cells[:, 0] = True
    X = sp.csr_matrix(cells.astype(np.float32))
    split = split_strong(X, validation=0.2, test=3, fold_in=fold_in, min_items=5, seed=seed)
    parts = [split.train_users, split.validation_users, split.test_users]
    assert sorted(np.concatenate(parts)) == list(range(users))
    assert [len(p) for p in parts[1:]] == [round(0.2 * users), 3]
    train = X[split.train_users]
    np.testing.assert_array_equal(split.items, np.flatnonzero(train.getnnz(axis=0)))
    assert (split.train != train[:, split.items]).nnz == 0
    for rows, shown, targets in (
        (split.validation_users, split.validation_fold_in, split.validation_targets),
        (split.test_users, split.test_fold_in, split.test_targets),
    ):
        whole = X[rows][:, split.items]
        assert (shown + targets != whole).nnz == 0
        assert shown.multiply(targets).nnz == 0
        for n, got in zip(whole.getnnz(axis=1), targets.getnnz(axis=1), strict=True):
            assert got == (math.floor(round((1 - fold_in) * int(n), 9)) if n >= 5 else 0)


def test_five_items_give_one_target():
    # 1 - 0.8 falls short of 0.2 in floating point.
    split = split_strong(sp.csr_matrix(np.ones((10, 5))), seed=3)
    assert split.test_targets.getnnz(axis=1).tolist() == [1]
    assert split_strong(sp.csr_matrix(np.ones((10, 4)))).test_targets.nnz == 0
    assert split_strong(sp.csr_matrix(np.ones((10, 4))), min_items=2, fold_in=0.5).test_targets.nnz == 2


def test_items_that_training_users_did_not_touch_are_dropped():
    X = sp.csr_matrix(np.hstack([np.ones((10, 6)), np.eye(10)]))
    split = split_strong(X)
    assert set(split.items) == set(range(6)) | {6 + u for u in split.train_users}
    assert split.test_fold_in.nnz + split.test_targets.nnz == 6


X = sp.csr_matrix(np.ones((10, 6)))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fractions_outside_0_to_1(fraction):
    with pytest.raises(ValueError, match="test_fraction: expected a number between 0 and 1, both excluded"):
        split_weak(X, fraction)
    with pytest.raises(ValueError, match="fold_in: expected a number between 0 and 1, both excluded"):
        split_strong(X, fold_in=fraction)
    for name in ("validation", "test"):
        with pytest.raises(ValueError, match=f"{name}: expected a number between 0 and 1"):
            split_strong(X, **{name: float(fraction)})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: split_weak(X, "0.2"), TypeError, "test_fraction: expected a number"),
        (lambda: split_weak(X, True), TypeError, "test_fraction: expected a number"),
        (lambda: split_weak(X, 0.1), ValueError, "X: expected a user with at least 10 items"),
        (lambda: split_weak(sp.csr_matrix((3, 4))), ValueError, "X: expected a user"),
        (lambda: split_weak(X, num_threads=-1), ValueError, "num_threads: expected 0"),
        (lambda: split_strong(X, num_threads=1.0), TypeError, "num_threads: expected an integer"),
        (lambda: split_weak([1, 2, 3]), TypeError, "X: expected a users x items matrix"),
        (lambda: split_weak(sp.csr_matrix([[np.nan, 1]])), ValueError, "X: expected finite"),
        (lambda: split_strong(X[:3]), ValueError, "X: too few users: 3 would be cut into 3 to train, 0 to validate"),
        (lambda: split_strong(X, validation=0.5, test=0.5), ValueError, "X: too few users: .* 0 to train"),
        (lambda: split_strong(X, validation=11), ValueError, "X: too few users"),
        (lambda: split_strong(X, validation=0), ValueError, "validation: expected a share between 0 and 1 or a number"),
        (lambda: split_strong(X, test=-3), ValueError, "test: expected a share between 0 and 1 or a number"),
        (lambda: split_strong(X, test="many"), TypeError, "test: expected a number"),
        (lambda: split_strong(X, min_items=0), ValueError, "min_items: expected at least 1"),
        (lambda: split_strong(X, min_items=2.0), TypeError, "min_items: expected an integer"),
        (lambda: split_strong(sp.csr_matrix((10, 6))), ValueError, "X: none of the training users has an item"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
