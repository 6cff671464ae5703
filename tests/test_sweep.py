"""`sweep`: every row of its table is what fitting that model and evaluating it gives."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import evaluation
from fastlae.models import Recommender

X = fastlae.data.make_interactions(n_users=60, n_items=90, n_interactions=1500, seed=3)
WEAK = fastlae.data.split_weak(X, seed=0)
STRONG = fastlae.data.split_strong(X, validation=15, test=10, seed=0)
ALL = ("LAE", "EASE", "DLAE", "EDLAE", "RLAE", "RDLAE", "DEQL")
GRID = dict(ridge=[3, 40], dropout=[0.3, 0.6], a=[1, 0.5], b=[0.0, 0.4], xi=[0.0, 0.3], user_power=[0.0, 0.5])


def refitted(row, form):
    names = set(inspect.signature(Recommender.registry[row["model"]]).parameters)
    params = {name: value for name, value in row.items() if name in names}
    return Recommender.registry[row["model"]](**params, form=form, dtype="float64")


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("protocol", ["weak", "strong"])
@pytest.mark.parametrize("metric", ["ndcg", "recall"])
def test_every_row_is_a_fit_and_an_evaluation(form, protocol, metric):
    if protocol == "weak":
        train, validation = WEAK
        validation = validation.multiply(np.arange(60)[:, None] % 9 > 0).tocsr()  # some users without targets
        fold_in, more = train, {}
    else:
        train, fold_in, validation = STRONG.train, STRONG.validation_fold_in, STRONG.validation_targets
        more = {"fold_in": fold_in}
    result = fastlae.sweep(
        train, validation, models=ALL, **GRID, popularity_power=[0.0, 0.4], **more,
        metric=metric, k=7, form=form, dtype="float64", refit=False,
    )  # fmt: skip
    assert result.model is None
    assert result.metric == f"{metric}@7"
    # LAE and EASE 2 ridges x 2 powers x 2 powers; with dropout twice as many, and so on
    assert len(result.table) == 8 + 8 + 16 + 16 + 16 + 32 + 64
    assert result.inverses == 2 * 2 * 3  # ridge, user_power, no dropout and two
    values = [row[result.metric] for row in result.table]
    assert values == sorted(values, reverse=True)
    assert result.best is result.table[0]
    for row in result.table[::5]:
        model = refitted(row, form).fit(train)
        evaluated = evaluation.evaluate(model, fold_in, validation, k=7, metrics=metric, protocol=protocol)
        np.testing.assert_allclose(row[result.metric], float(evaluated[result.metric]), rtol=1e-9, err_msg=str(row))


def test_ridge_and_l2():
    result = fastlae.sweep(*WEAK, models=["DEQL", "EASE"], ridge=[20], dropout=[0.4], b=[0.5], refit=False)
    rows = {row["model"]: row for row in result.table}
    assert rows["EASE"]["l2"] == rows["EASE"]["ridge"] == 20
    np.testing.assert_allclose(rows["DEQL"]["l2"], 20 * 0.36 * (0.4 + 0.6 * 0.25))
    assert "dropout" not in rows["EASE"]


def test_the_best_point_is_refitted():
    result = fastlae.sweep(*WEAK, models=fastlae.EDLAE, ridge=(1, 30.0), dropout=np.array([0.3]), k=5)
    assert isinstance(result.model, fastlae.EDLAE)
    assert result.model.l2 == result.best["l2"]
    want = fastlae.EDLAE(l2=result.best["l2"], dropout=0.3).fit(WEAK[0]).recommend(WEAK[0], k=5)
    np.testing.assert_array_equal(result.model.recommend(WEAK[0], k=5)[0], want[0])
    text = str(result)
    assert "ndcg@5" in text
    assert "EDLAE" in text


def test_an_empty_user_with_targets():
    train, validation = WEAK[0].tolil(), WEAK[1]
    train[4] = 0
    train = train.tocsr()
    for form in ("items", "users"):
        result = fastlae.sweep(
            train, validation, models=["EASE"], ridge=[5], user_power=[0.5], form=form, refit=False, dtype="float64"
        )
        model = fastlae.EASE(l2=5, user_power=0.5, dtype="float64").fit(train)
        want = float(evaluation.evaluate(model, train, validation, metrics="ndcg")["ndcg@20"])
        np.testing.assert_allclose(result.best["ndcg@20"], want)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(models=["KNN"]), ValueError, "models: expected names or classes among DEQL, .* got 'KNN'"),
        (dict(models=["Popularity"]), ValueError, "models: .* got 'Popularity'"),
        (dict(models=[fastlae.Popularity]), ValueError, "models: "),
        (dict(models=[]), ValueError, "models: expected at least one"),
        (dict(models=[3]), ValueError, "models: "),
        (dict(ridge=5), TypeError, "ridge: expected a list"),
        (dict(ridge=[]), ValueError, "ridge: expected at least one"),
        (dict(ridge=[-1]), ValueError, "ridge: "),
        (dict(ridge=["x"]), TypeError, "ridge: "),
        (dict(dropout=[1.0]), ValueError, "dropout: "),
        (dict(b=[-1]), ValueError, "b: "),
        (dict(xi=[np.nan]), ValueError, "xi: "),
        (dict(user_power=None), TypeError, "user_power: "),
        (dict(metric="accuracy"), ValueError, "metric: expected one of ndcg"),
        (dict(k=0), ValueError, "k: "),
        (dict(k=1.5), TypeError, "k: "),
        (dict(form="dual"), ValueError, "form: "),
        (dict(dtype="int8"), ValueError, "dtype: "),
        (dict(num_threads=-1), ValueError, "num_threads: "),
        (dict(validation=X[:5]), ValueError, "validation: expected 60 rows, as train has, got 5"),
        (dict(validation=X[:, :5]), ValueError, "validation: expected 90 columns"),
        (dict(validation=sp.csr_matrix(X.shape)), ValueError, "validation: no user has a target"),
        (dict(fold_in=X[:5]), ValueError, "validation: expected 5 rows, as fold_in has"),
        (dict(fold_in=-X), ValueError, "fold_in: expected non-negative"),
        (dict(train="x"), TypeError, "train: "),
        (dict(models=["EASE"], ridge=[0]), np.linalg.LinAlgError, "positive definite"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {**dict(train=WEAK[0], validation=WEAK[1]), **change}
    with pytest.raises(error, match=message):
        fastlae.sweep(arguments.pop("train"), arguments.pop("validation"), **arguments)


def test_points_without_an_inverse_are_left_out(caplog):
    train, validation = WEAK[0], WEAK[1]
    most = int(np.argmax(train.getnnz(axis=0)))
    train = sp.hstack([train, train[:, [most]]], "csr")  # two items that the same users have
    validation = sp.hstack([validation, sp.csr_matrix((validation.shape[0], 1))], "csr")
    options = {"models": ["EASE"], "form": "items"}
    found = fastlae.sweep(train, validation, ridge=(r for r in (10, 0, 50)), **options)
    assert sorted(row["ridge"] for row in found.table) == [10, 50]
    assert found.inverses == 2
    assert "left out ridge=0" in caplog.text
    with pytest.raises(fastlae.NotPositiveDefiniteError):
        fastlae.sweep(train, validation, ridge=[0], **options)
