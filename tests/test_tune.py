"""Sweeps that are kept and drawn, a search by optuna, and what sparse weights cost."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import tune

sweeping = sys.modules["fastlae.tune.sweep"]  # not the function of that name
X = fastlae.data.make_interactions(n_users=80, n_items=50, n_interactions=1200, seed=5)
TRAIN, VALIDATION = fastlae.data.split_weak(X, seed=0)
GRID = dict(models=["EASE", "EDLAE"], ridge=[3, 30], dropout=[0.2, 0.5], xi=[0.0], refit=False)


@pytest.fixture
def counted(monkeypatch):
    """How many inverses are computed; the sweep is interrupted before the one of number `stop`."""
    count = {"done": 0, "stop": None}
    inverse = sweeping._Host.inverse

    def counting(*args):
        if count["done"] == count["stop"]:
            raise KeyboardInterrupt
        count["done"] += 1
        return inverse(*args)

    monkeypatch.setattr(sweeping._Host, "inverse", counting)
    return count


def test_an_interrupted_sweep_goes_on(tmp_path, counted):
    path = tmp_path / "points.jsonl"
    whole = fastlae.sweep(TRAIN, VALIDATION, **GRID)
    assert counted["done"] == whole.inverses == 6  # EASE's own two, and EDLAE's four
    counted.update(done=0, stop=3)
    with pytest.raises(KeyboardInterrupt):
        fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    lines = path.read_text().splitlines()
    assert [set(json.loads(line)) for line in lines[1:]] == [{"point", "value"}] * 3
    counted.update(done=0, stop=None)
    again = fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    assert (counted["done"], again.inverses) == (3, 3)
    assert again.table == whole.table
    more = fastlae.sweep(TRAIN, VALIDATION, **{**GRID, "ridge": [3, 30, 90]}, checkpoint=path)
    assert (more.inverses, len(more.table)) == (3, 9)
    nothing = fastlae.sweep(TRAIN, VALIDATION, **{**GRID, "refit": True}, checkpoint=path)
    assert nothing.inverses == 0
    assert nothing.table == whole.table
    assert nothing.model.l2 == whole.best["l2"]


def test_half_a_line_is_forgotten(tmp_path):
    path = tmp_path / "points.jsonl"
    whole = fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-20])
    again = fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    assert again.table == whole.table
    assert again.inverses == 1
    assert fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path).inverses == 0


def test_a_checkpoint_of_something_else(tmp_path):
    path = tmp_path / "points.jsonl"
    fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(fastlae.DataError, match=r"points of another sweep \(different: metric\)"):
        fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path, k=5)
    with pytest.raises(fastlae.DataError, match=r"different: data"):
        fastlae.sweep(TRAIN + VALIDATION, VALIDATION, **GRID, checkpoint=path)
    assert path.read_bytes() == before
    for text in ("userId,movieId\n1,2\n", '{"a": 1}\n', "[1]\n", '{"fastlae_sweep": 1}\n{"point": 3}\n'):
        path.write_text(text)
        with pytest.raises(fastlae.DataError, match="no file of a sweep's points"):
            fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
        assert path.read_text() == text
    path.write_text('{"fastlae_sweep": 99}\n')
    with pytest.raises(fastlae.DataError, match="newer version"):
        fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=path)
    with pytest.raises(OSError, match="No such file"):
        fastlae.sweep(TRAIN, VALIDATION, **GRID, checkpoint=tmp_path / "no" / "points")


@pytest.mark.parametrize("name", ["sweep.png", "sweep.svg", "sweep.pdf"])
def test_heat_maps(tmp_path, name):
    loaded = "matplotlib.pyplot" in sys.modules
    result = fastlae.sweep(TRAIN, VALIDATION, **GRID)
    figure = result.plot(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 5000
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().split()[0].rstrip(":") for axes in panels] == ["EASE", "EDLAE"]
    assert sum("(best)" in axes.get_title() for axes in panels) == 1
    edlae = panels[1]
    assert (edlae.get_xlabel(), edlae.get_ylabel()) == ("ridge", "dropout")
    assert np.asarray(edlae.images[0].get_array()).shape == (2, 2)
    best = max((row for row in result.table if row["model"] == "EDLAE"), key=lambda row: row["ndcg@20"])
    (mark,) = edlae.patches
    assert mark.get_xy() == ([3, 30].index(best["ridge"]) - 0.5, [0.2, 0.5].index(best["dropout"]) - 0.5)
    for row in result.table:
        if row["model"] == "EDLAE":
            cell = edlae.images[0].get_array()[[0.2, 0.5].index(row["dropout"]), [3, 30].index(row["ridge"])]
            assert cell == row["ndcg@20"]
    assert ("matplotlib.pyplot" in sys.modules) == loaded  # nobody's settings are touched


def test_search():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments = dict(n_trials=6, k=5, fixed={"form": "items"})
    found = tune.search("EDLAE", TRAIN, VALIDATION, **arguments)
    assert set(found.best) == {"model", "form", "l2", "dropout", "user_power", "ndcg@5"}
    assert found.metric == "ndcg@5"
    assert len(found.study.trials) == 6
    assert found.model.l2 == found.best["l2"]
    again = tune.search("EDLAE", TRAIN, VALIDATION, **arguments, refit=False)
    assert again.best == found.best  # the seed decides
    assert again.model is None
    split = fastlae.data.split_strong(X, validation=15, test=10)
    strong = tune.search(
        fastlae.EASE, split.train, split.validation_targets, fold_in=split.validation_fold_in,
        space={"l2": [5.0, 50.0]}, n_trials=4, metric="recall", study=optuna.create_study(direction="maximize"),
    )  # fmt: skip
    model = fastlae.EASE(l2=strong.best["l2"]).fit(split.train)
    want = fastlae.evaluation.evaluate(
        model, split.validation_fold_in, split.validation_targets, metrics="recall", protocol="strong"
    )
    assert strong.best["recall@20"] == float(want["recall@20"])
    doubled = sp.csr_matrix(sp.hstack([TRAIN[:, :1], TRAIN[:, :1], TRAIN[:, 2:]]))  # singular without a penalty
    pruned = tune.search("EASE", doubled, VALIDATION, space={"l2": [0.0, 9.0]}, n_trials=12)
    states = {trial.params["l2"]: trial.state.name for trial in pruned.study.trials}
    assert states[9.0] == "COMPLETE"
    assert states.get(0.0, "PRUNED") == "PRUNED"
    for change, message in (
        (dict(model="EDLEA"), "did you mean .*'EDLAE'"),
        (dict(model=3), "model: expected"),
        (dict(space={"lambda": (0, 1)}), "EASE has no hyperparameter 'lambda'"),
        (dict(space={"l2": 5}), "space: expected"),
        (dict(space={"l2": (1, 2, "linear")}), "space: expected"),
        (dict(space={}), "space: expected hyperparameters"),
    ):
        with pytest.raises(ValueError, match=message):
            tune.search(**{**dict(model="EASE", train=TRAIN, validation=VALIDATION, n_trials=1), **change})


def test_search_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"search needs optuna: pip install 'fastlae\[tune\]'"):
        tune.search("EASE", TRAIN, VALIDATION)


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("storage", ["full", "packed"])
def test_sparse_weights(form, storage, monkeypatch):
    model = fastlae.EASE(l2=5.0, form=form, storage=storage, dtype="float64").fit(TRAIN)
    dense = fastlae.EASE(l2=5.0, dtype="float64").fit(TRAIN).weights_
    monkeypatch.setattr(type(model), "weights_", property(lambda self: pytest.fail("n x n"), lambda self, v: None))
    sparse = model.sparsify(top_k=7)
    monkeypatch.undo()
    assert "_weights" not in vars(model) or form == "items"
    W = sparse.weights_.toarray()
    for column, want in zip(W.T, dense.T, strict=True):
        largest = np.sort(np.abs(want))[-7:].min()
        np.testing.assert_allclose(column, np.where(np.abs(want) >= largest, want, 0), atol=1e-9)
    np.testing.assert_allclose(sparse.score(TRAIN), TRAIN @ W, atol=1e-8)
    table = tune.sparsity(model, TRAIN, VALIDATION, top_k=(3, 50), k=5)
    assert [row["top_k"] for row in table] == [None, 50, 3]
    assert table[1]["kept"] == pytest.approx(1.0)
    assert table[2]["weights"] == 3 * 50
    assert table[2]["megabytes"] == 3 * 50 * 12 / 1e6
    got = fastlae.evaluation.evaluate(model.sparsify(top_k=3), TRAIN, VALIDATION, k=5, metrics="ndcg")
    assert table[2]["ndcg@5"] == float(got["ndcg@5"])


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("storage", ["full", "packed"])
def test_explanations_and_similar_items_need_no_square_matrix(form, storage):
    shown = fastlae.Interactions.from_matrix(TRAIN)
    model = fastlae.EASE(l2=5.0, form=form, storage=storage).fit(shown)
    items, parts = model.explain(3, 7, k=100)
    model.similar_items([3, 4], k=5)
    if (form, storage) != ("items", "full"):
        assert "_weights" not in vars(model)  # W as a whole was not made
    full = fastlae.EASE(l2=5.0).fit(TRAIN)
    row = TRAIN[3]
    np.testing.assert_allclose(parts.sum(), full.score(row)[0, 7], atol=1e-5)
    np.testing.assert_allclose(parts, full.weights_[items, 7], atol=1e-5)
    assert (np.diff(parts) <= 0).all()


def test_sparsity_is_of_models_that_have_weights():
    with pytest.raises(TypeError, match="model: expected a linear autoencoder with a weight per pair of items, got MF"):
        fastlae.tune.sparsity(fastlae.MF(dim=2), None, None)
