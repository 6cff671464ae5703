"""Synthetic interactions: what was promised of their shape, and that there is something to learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlae import ops
from fastlae.data import make_interactions, split_weak
from fastlae.evaluation import recall


@settings(max_examples=40, deadline=None)
@given(
    users=st.integers(1, 60),
    items=st.integers(2, 60),
    filled=st.floats(0, 1),
    sigma=st.floats(0, 3),
    exponent=st.floats(0, 2),
    seed=st.integers(0, 2**32),
)
def test_shape_and_count_are_exact(users, items, filled, sigma, exponent, seed):
    count = max(1, int(filled * users * (items // 2)))
    X = make_interactions(
        users, items, count, n_groups=min(items, 4), activity_sigma=sigma, popularity_exponent=exponent, seed=seed
    )
    assert X.shape == (users, items)
    assert X.nnz == count
    assert X.dtype == np.float32
    assert X.format == "csr"
    assert set(X.data) == {1.0}
    checked = sp.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape)
    assert checked.has_canonical_format
    assert X.getnnz(axis=1).max() <= items // 2
    assert X.getnnz(axis=1).min() >= min(5, items // 2, count // users)


def test_long_tails():
    X = make_interactions()
    popularity, activity = np.sort(X.getnnz(axis=0))[::-1], np.sort(X.getnnz(axis=1))[::-1]
    assert popularity[:100].sum() > 0.2 * X.nnz  # a tenth of the items
    assert activity[:200].sum() > 0.3 * X.nnz  # a tenth of the users
    flat = make_interactions(popularity_exponent=0, activity_sigma=0, taste=0)
    assert np.ptp(flat.getnnz(axis=1)) <= 1
    assert flat.getnnz(axis=0).max() < 150  # mean 100, standard deviation 10


def test_seeds():
    a, b, c = (make_interactions(100, 50, 1500, seed=s) for s in (0, 0, 1))
    assert (a != b).nnz == 0
    assert (a != c).nnz > 0


def test_a_linear_autoencoder_beats_popularity_by_the_planted_groups():
    def recalls(**options):
        train, test = split_weak(make_interactions(**options))
        inverse = ops.spd_inverse(ops.gram(train, dtype=np.float64) + 200 * np.eye(train.shape[1]))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        results = []
        for scores in (train @ weights, np.tile(train.getnnz(axis=0).astype(float), (train.shape[0], 1))):
            scores[train.nonzero()] = -np.inf
            results.append(float(recall(np.argsort(-scores, axis=1)[:, :20], test, 20)))
        return results

    ease, popularity = recalls()
    assert ease > 1.5 * popularity
    ease, popularity = recalls(taste=0.0)  # nothing planted, nothing to find
    assert ease < 1.1 * popularity


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(n_users=0), ValueError, "n_users: expected at least 1, got 0"),
        (dict(n_users=10.0), TypeError, "n_users: expected an integer"),
        (dict(n_items=1), ValueError, "n_items: expected at least 2"),
        (dict(n_interactions=0), ValueError, "n_interactions: expected at least 1"),
        (dict(n_interactions=501), ValueError, "n_interactions: expected at most half of the cells, 500, got 501"),
        (dict(n_groups=0), ValueError, "n_groups: expected at least 1"),
        (dict(n_groups=21), ValueError, "n_groups: expected at most n_items = 20"),
        (dict(popularity_exponent=-1), ValueError, "popularity_exponent: expected a finite number from 0"),
        (dict(activity_sigma=float("nan")), ValueError, "activity_sigma: expected"),
        (dict(min_activity=-1), ValueError, "min_activity: expected at least 0"),
        (dict(taste=1.1), ValueError, "taste: expected"),
        (dict(taste="strong"), TypeError, "taste: expected a number"),
        (dict(concentration=0), ValueError, "concentration: expected"),
    ],
)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        make_interactions(**{**dict(n_users=50, n_items=20, n_interactions=200), **change})
