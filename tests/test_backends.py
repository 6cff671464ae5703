"""Models inside other libraries: the same scores as those of the library's own, through the library's own calls."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' own


@pytest.fixture
def X():
    return fastlae.data.make_interactions(n_users=150, n_items=40, seed=3)


def test_irspack_dense_slim(X):
    irspack = pytest.importorskip("irspack")
    from fastlae.backends.irspack import DenseSLIMRecommender

    own, theirs = DenseSLIMRecommender(X, reg=20.0).learn(), irspack.DenseSLIMRecommender(X, reg=20.0).learn()
    assert isinstance(own, irspack.DenseSLIMRecommender)
    np.testing.assert_allclose(own.W, theirs.W, atol=1e-4)
    users = np.array([3, 1, 77])
    np.testing.assert_allclose(own.get_score(users), theirs.get_score(users), atol=1e-3)
    np.testing.assert_allclose(own.get_score_remove_seen(users), theirs.get_score_remove_seen(users), atol=1e-3)
    np.testing.assert_allclose(own.get_score_cold_user(X[:4]), theirs.get_score_cold_user(X[:4]), atol=1e-3)
    registered = type(irspack.DenseSLIMRecommender).recommender_name_vs_recommender_class
    assert registered["DenseSLIMRecommender"] is irspack.DenseSLIMRecommender


def test_irspack_evaluates_and_tunes(X):
    irspack = pytest.importorskip("irspack")
    from fastlae.backends.irspack import DenseSLIMRecommender, DEQLRecommender, EDLAERecommender, ModelRecommender

    train, test = irspack.rowwise_train_test_split(X, test_ratio=0.3, random_state=0)
    evaluator = irspack.Evaluator(test, cutoff=10)
    ours = evaluator.get_score(DenseSLIMRecommender(train, reg=20.0).learn())
    theirs = evaluator.get_score(irspack.DenseSLIMRecommender(train, reg=20.0).learn())
    assert ours["ndcg"] == pytest.approx(theirs["ndcg"], abs=0.01)
    assert 0 < evaluator.get_score(ModelRecommender(train, fastlae.ItemKNN(k=10)).learn())["ndcg"] <= 1
    for cls in (EDLAERecommender, DEQLRecommender):
        best, table = cls.tune(train, evaluator, n_trials=3, tuning_random_seed=0)
        assert set(best) == set(cls.config_class().__dict__)
        assert len(table) == 3
        cls.from_config(train, cls.config_class(**best)).learn()


def test_implicit(X, tmp_path):
    pytest.importorskip("implicit")
    from implicit.recommender_base import RecommenderBase

    from fastlae.backends.implicit import ModelRecommender

    model = ModelRecommender(fastlae.EASE(l2=10.0))
    assert isinstance(model, RecommenderBase)
    model.fit(X, show_progress=False)
    own = fastlae.EASE(l2=10.0).fit(X)
    ids, scores = model.recommend(np.arange(5), X[:5], N=4)
    np.testing.assert_array_equal(ids, own.recommend(X[:5], k=4)[0])
    single, _ = model.recommend(2, X[2], N=4)
    np.testing.assert_array_equal(single, ids[2])
    chosen, _ = model.recommend(2, X[2], N=3, items=[1, 2, 3], filter_already_liked_items=False)
    assert sorted(chosen) == [1, 2, 3]
    assert not np.isin(model.recommend(2, X[2], N=10, filter_items=ids[2])[0], ids[2]).any()
    np.testing.assert_array_equal(model.similar_items([1, 2], N=3)[0], own.similar_items([1, 2], k=3)[0])
    assert model.similar_items(1, N=3)[0].shape == (3,)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        ModelRecommender.load(tmp_path / "m.safetensors").recommend(np.arange(5), X[:5], N=4)[1], scores
    )
    for call, error, message in (
        (lambda: model.recommend(0, X[:2]), ValueError, "user_items: expected 1 rows"),
        (lambda: model.recommend(0, X[0], items=[1], filter_items=[2]), ValueError, "expected one of them"),
        (lambda: model.similar_items(0, items=[1]), NotImplementedError, "itemid and N"),
        (lambda: model.similar_users(0), NotImplementedError, "similar_users"),
    ):
        with pytest.raises(error, match=message):
            call()


def ratings(X):
    X = sp.coo_matrix(X)
    return [(f"u{u}", f"i{i}", 1.0) for u, i in zip(X.row, X.col, strict=True)]


@pytest.mark.parametrize("posB", [True, False])
def test_cornac_ease(X, posB):
    cornac = pytest.importorskip("cornac")
    from fastlae.backends.cornac import EASE, ModelRecommender

    train = cornac.data.Dataset.from_uir(ratings(X))
    options = {"lamb": 20.0, "posB": posB, "verbose": False}
    own, theirs = EASE(**options).fit(train), cornac.models.EASE(**options).fit(train)
    np.testing.assert_allclose(own.B, theirs.B, atol=1e-4)
    np.testing.assert_allclose(own.score(3), theirs.score(3), atol=1e-3)
    assert own.clone({"lamb": 5.0}).lamb == 5.0
    if not posB:
        wrapped = ModelRecommender(fastlae.EASE(l2=20.0)).fit(train)
        np.testing.assert_allclose(wrapped.score(3), np.ravel(theirs.score(3)), atol=1e-3)
        assert wrapped.score(3, 5) == pytest.approx(theirs.score(3, 5), abs=1e-3)
        with pytest.raises(cornac.exception.ScoreException):
            wrapped.score(10**6)


def test_cornac_experiment(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it writes its log
    cornac = pytest.importorskip("cornac")
    from fastlae.backends.cornac import ModelRecommender

    split = cornac.eval_methods.RatioSplit(ratings(X), test_size=0.3, rating_threshold=0.5, seed=1, verbose=False)
    ours, theirs = ModelRecommender(fastlae.EASE(l2=20.0)), cornac.models.EASE(lamb=20.0, posB=False, verbose=False)
    experiment = cornac.Experiment(
        split, [ours, theirs], [cornac.metrics.NDCG(k=10)], user_based=True, verbose=False, save_dir=None
    )
    experiment.run()
    a, b = (result.metric_avg_results["NDCG@10"] for result in experiment.result)
    assert a == pytest.approx(b, abs=0.01)


def test_lenskit(X):
    pytest.importorskip("lenskit")
    import pandas as pd
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.knn import EASEScorer as TheirEASE
    from lenskit.pipeline import topn_pipeline

    from fastlae.backends.lenskit import EASEScorer, ModelScorer

    coo = sp.coo_matrix(X)
    data = from_interactions_df(pd.DataFrame({"user_id": coo.row, "item_id": coo.col + 100}))
    own, theirs = EASEScorer(regularization=20.0), TheirEASE(regularization=20.0)
    own.train(data)
    theirs.train(data)
    assert own.is_trained()
    query = RecQuery(history_items=ItemList([103, 107, 999]))
    asked = ItemList([104, 105, 12345])
    got = own(query, asked).scores()
    np.testing.assert_allclose(got[:2], theirs(query, ItemList([104, 105])).scores(), atol=1e-3)
    assert np.isnan(got[2])
    assert np.isnan(own(RecQuery(), asked).scores()).all()
    pipeline = topn_pipeline(ModelScorer(model="EDLAE", options={"l2": 20.0, "dropout": 0.3}), n=5)
    pipeline.train(data)
    assert len(pipeline.run("recommender", query=3)) == 5
    with pytest.raises(ValueError, match="model: expected one of"):
        ModelScorer(model="EASY").train(data)


@pytest.fixture
def recbole_toy(X, tmp_path, monkeypatch):
    """Configurations and datasets of RecBole, by the name or class of a model."""
    pytest.importorskip("recbole")
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    monkeypatch.chdir(tmp_path)  # where it writes its logs
    monkeypatch.setattr("sys.argv", ["recbole"])  # of which it reads a configuration
    rows = [f"{u}\t{i}" for u, i, _ in ratings(X)]
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.inter").write_text("\n".join(["user_id:token\titem_id:token", *rows]))

    def make(model, **options):
        settings = {
            "data_path": str(tmp_path), "load_col": {"inter": ["user_id", "item_id"]}, "metrics": ["Recall", "NDCG"],
            "topk": [10], "valid_metric": "NDCG@10", "show_progress": False, "state": "ERROR", "use_gpu": False,
        }  # fmt: skip
        config = Config(model=model, dataset="toy", config_dict={**settings, **options})
        return config, *data_preparation(config, create_dataset(config))

    return make


def recbole_users(n):
    import torch
    from recbole.data.interaction import Interaction

    return Interaction({"user_id": torch.arange(1, n + 1), "item_id": torch.arange(n) % 7 + 1})


def test_recbole_in_the_place_of_its_own(recbole_toy):
    pytest.importorskip("recbole")
    from recbole.model.general_recommender import EASE as TheirEASE
    from recbole.model.general_recommender import SLIMElastic as TheirSLIM

    from fastlae.backends.recbole import EASE, SLIMElastic

    assert TheirEASE is not EASE
    for own, theirs, options in ((EASE, TheirEASE, {"reg_weight": 20.0}), (SLIMElastic, TheirSLIM, {"alpha": 0.02})):
        config, train, *_ = recbole_toy(own, **options)
        models = [cls(config, train.dataset) for cls in (own, theirs)]
        users = recbole_users(20)
        for call in ("full_sort_predict", "predict"):
            mine, other = (np.ravel(getattr(model, call)(users)) for model in models)
            np.testing.assert_allclose(mine, other, atol=3e-3 if own is SLIMElastic else 1e-4)
    config, train, *_ = recbole_toy(SLIMElastic, hide_item=False)
    with pytest.raises(ValueError, match="hide_item"):
        SLIMElastic(config, train.dataset)


def test_recbole_trains_and_evaluates(recbole_toy):
    pytest.importorskip("recbole")
    from recbole.utils import get_model, get_trainer

    from fastlae.backends.recbole import EDLAE, ModelRecommender, register

    class ItemKNN(ModelRecommender):
        model_class = fastlae.ItemKNN

    for cls, options in ((EDLAE, {"l2": 20.0, "dropout": 0.3}), (ItemKNN, {"k": 7})):
        config, train, valid, test = recbole_toy(cls, **options)
        model = cls(config, train.dataset)
        assert {name: model.model.get_params()[name] for name in options} == options
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        trainer.fit(train, valid, saved=False, show_progress=False)
        assert 0 < trainer.evaluate(test, load_best_model=False)["ndcg@10"] <= 1
    register(ItemKNN)
    try:
        assert get_model("ItemKNN") is ItemKNN
    finally:
        import sys

        del sys.modules["recbole.model.general_recommender.itemknn"]


def test_rectools(X):
    pytest.importorskip("rectools")
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.models import EASEModel as TheirEASE

    from fastlae.backends.rectools import EASEModel, ModelRecommender

    frame = pd.DataFrame(ratings(X), columns=["user_id", "item_id", "weight"]).assign(datetime="2020-01-01")
    dataset = Dataset.construct(frame)
    own, theirs = EASEModel(regularization=20.0).fit(dataset), TheirEASE(regularization=20.0).fit(dataset)
    np.testing.assert_allclose(own.weight, theirs.weight, atol=1e-4)
    users, some = ["u3", "u70", "u1"], [f"i{i}" for i in range(1, 40, 2)]
    for items in (None, some):
        asked = {"dataset": dataset, "k": 4, "items_to_recommend": items}
        lists = [model.recommend_to_items(["i5", "i9"], **asked) for model in (own, theirs)]
        pd.testing.assert_frame_equal(*lists, atol=1e-3, check_dtype=False)
    theirs.weight = np.ascontiguousarray(theirs.weight.T)  # RecTools scores by rows of W, where columns are meant
    for items in (None, some):
        asked = {"dataset": dataset, "k": 4, "items_to_recommend": items}
        for filtered in (True, False):
            lists = [model.recommend(users, filter_viewed=filtered, **asked) for model in (own, theirs)]
            pd.testing.assert_frame_equal(*lists, atol=1e-3, check_dtype=False)
    assert EASEModel.from_config(own.get_config()).regularization == 20.0
    wrapped = ModelRecommender("EDLAE", {"l2": 20.0, "dropout": 0.3}).fit(dataset)
    best = wrapped.recommend(users, dataset, k=4, filter_viewed=True)
    assert best.groupby("user_id").size().tolist() == [4, 4, 4]
    again = ModelRecommender.from_config(wrapped.get_config()).fit(dataset)
    pd.testing.assert_frame_equal(again.recommend(users, dataset, k=4, filter_viewed=True), best)
    assert ModelRecommender.loads(wrapped.dumps()).is_fitted
    with pytest.raises(ValueError, match="model: expected one of"):
        ModelRecommender("EASY")
