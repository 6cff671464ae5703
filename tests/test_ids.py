"""Models that were fitted on an Interactions speak its ids, in files too; habits of an estimator."""

from __future__ import annotations

import copy
import pickle
import uuid

import numpy as np
import pytest

import fastlae
from fastlae import DLAE, EASE, DataError, Interactions, NotFittedError, Popularity, UnknownIdError


@pytest.fixture(scope="module", params=["int", "str"])
def X(request):
    made = fastlae.data.make_interactions(n_users=90, n_items=40, seed=4).tocoo()
    if request.param == "int":
        return Interactions(made.row * 7 + 100, made.col * 3 + 1, timestamps=np.arange(made.nnz))
    return Interactions([f"u{r}" for r in made.row], [f"item ä{c}" for c in made.col])


@pytest.fixture(scope="module", params=[EASE(l2=5.0), DLAE(l2=5.0, form="users"), Popularity()], ids=repr)
def model(request, X):
    return copy.deepcopy(request.param).fit(X)


def test_ids_are_positions_renamed(model, X):
    by_position = type(model)(**model.get_params()).fit(X.matrix)
    positions, scores = by_position.recommend(X.matrix, k=6)
    named = np.where(positions < 0, {"i": -1, "U": ""}[X.item_ids.dtype.kind], X.item_ids[positions])
    for found in (model.recommend(X, 6), model.recommend(users=X.user_ids, k=6)):
        assert np.array_equal(found[0], named)
        assert np.array_equal(found[1], scores)
    assert np.array_equal(model.recommend(X.matrix, 6)[0], positions)
    assert np.array_equal(by_position.recommend(X, 6)[0], positions)
    assert np.array_equal(model.score(X), by_position.score(X.matrix))
    assert np.array_equal(model.score(users=X.user_ids[3]), by_position.score(X.matrix[[3]]))
    assert np.array_equal(model.recommend(users=[X.user_ids[5]] * 2, k=6)[0], named[[5, 5]])


def test_items_and_forbid(model, X):
    users, some = X.user_ids[:10], X.item_ids[[4, 7, 9]]
    allowed = model.recommend(users=users, k=3, items=some, exclude_seen=False)[0]
    assert set(allowed.ravel()) <= set(some) | {-1, ""}
    forbidden = model.recommend(users=users, k=30, forbid=list(some))[0]
    assert not set(forbidden.ravel()) & set(some)
    per_user = Interactions([users[1]], [model.recommend(users=users[1], k=1)[0][0, 0]])
    lists = model.recommend(users=users, k=2, forbid=per_user)[0]
    assert lists[1, 0] == model.recommend(users=users[1], k=2)[0][0, 1]
    assert np.array_equal(lists[0], model.recommend(users=users[0], k=2)[0][0])


def test_interactions_from_elsewhere(model, X):
    mine = [X.item_ids[2], X.item_ids[5]]
    strange = 10**6 if X.item_ids.dtype.kind == "i" else "strange"
    other = Interactions([9, 9, 9], [mine[0], strange, mine[1]])
    row = np.zeros((1, X.shape[1]), np.float32)
    row[0, [2, 5]] = 1
    positions = model.recommend(row, 5)[0]
    assert np.array_equal(model.recommend(other, 5)[0], X.item_ids[positions])
    # Few items that nobody knows are new ones, as in a batch; many are of another catalogue.
    nobody, new = model.recommend(Interactions([1], [strange]), 5)[0], X.align(X.item_ids, [X.user_ids[0]])
    assert np.array_equal(nobody, model.recommend(Interactions([1, 2], [strange, X.item_ids[0]]), 5)[0][:1])
    assert np.array_equal(
        model.recommend(new, 5, forbid=Interactions(new.user_ids, [strange]))[0], model.recommend(new, 5)[0]
    )
    others = [strange] + [strange * 2 + (i if isinstance(strange, int) else str(i)) for i in range(9)]
    with pytest.raises(DataError, match="none of the 10 items"):
        model.recommend(Interactions([1] * 10, others), 5)


def test_similar_and_explain(X):
    model, by_position = EASE(l2=5.0).fit(X), EASE(l2=5.0).fit(X.matrix)
    items, weights = by_position.similar_items([3, 8], 4)
    assert np.array_equal(model.similar_items(X.item_ids[[3, 8]], 4)[0], X.item_ids[items])
    assert np.array_equal(model.similar_items(X.item_ids[3], 4)[1], weights[:1])
    user, item = X.user_ids[11], X.item_ids[6]
    has, parts = by_position.explain(X.matrix[[11]], 6, k=5)
    for x in (user, X.select(user)):
        found = model.explain(x, item, k=5)
        assert np.array_equal(found[0], X.item_ids[has])
        assert np.array_equal(found[1], parts)
    assert np.array_equal(model.explain(X.matrix[[11]], 6, k=5)[0], has)
    sparse = model.sparsify(top_k=5)
    assert sparse.similar_items(X.item_ids[3], 2)[0].dtype.kind == X.item_ids.dtype.kind


def test_unknown_ids(model, X):
    strange = 31_337 if X.item_ids.dtype.kind == "i" else "?"
    for call in (
        lambda: model.recommend(users=[strange]),
        lambda: model.recommend(X, items=[strange]),
        lambda: model.recommend(X, forbid=[strange]),
    ):
        with pytest.raises(UnknownIdError, match=f"unknown (user|item) {strange!r}".replace("?", r"\?")):
            call()
    with pytest.raises(TypeError, match="got neither"):
        model.recommend(k=3)
    with pytest.raises(TypeError, match="got both"):
        model.recommend(X, 3, users=X.user_ids)
    plain = type(model)().fit(X.matrix)
    with pytest.raises(NotFittedError, match="not fitted on an Interactions"):
        plain.recommend(users=[1])


def test_fitting_again_forgets_ids(X):
    for model in (EASE().fit(X), Popularity().fit(X)):
        with pytest.raises((ValueError, TypeError)):
            model.fit("nothing")
        assert model.interactions_.shape == X.shape
        model.fit(X.matrix)
        assert not hasattr(model, "interactions_")


def test_files_carry_ids(model, X, tmp_path):
    model.save(tmp_path / "m")
    again = fastlae.load(tmp_path / "m")
    assert again.equals(model)
    assert again.interactions_.equals(model.interactions_)
    assert np.array_equal(again.recommend(users=X.user_ids, k=4)[0], model.recommend(X, 4)[0])
    model.save(tmp_path / "m", with_users=False)
    again = fastlae.load(tmp_path / "m")
    assert np.array_equal(again.recommend(X, 4)[0], model.recommend(X, 4)[0])
    with pytest.raises(DataError, match="saved without its users"):
        again.recommend(users=X.user_ids[:1])


def test_ids_that_no_file_holds(tmp_path):
    model = Popularity().fit(Interactions([(1, 2)], ["a"]))
    assert model.recommend(users=[(1, 2)], k=1)[0].tolist() == [[""]]
    with pytest.raises(DataError, match="ids of type tuple cannot be saved"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    named = Popularity().fit(Interactions(["u", "u", "v"], [(1,), (2,), (2,)]))
    assert named.recommend(users="v", k=2)[0].tolist() == [[(1,), None]]


def test_habits(model, X):
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.equals(model)
        assert repr(twin) == repr(model)
        assert np.array_equal(twin.recommend(X, 4)[0], model.recommend(X, 4)[0])
    fresh = type(model)(**model.get_params())
    assert pickle.loads(pickle.dumps(fresh)).equals(fresh)
    assert not fresh.equals(model)
    assert not model.equals(type(model)(**model.get_params()).fit(X.matrix))
    assert not model.equals("model")
    assert model.set_params(num_threads=1) is model
    model.set_params(num_threads=0)
    with pytest.raises(ValueError, match="did you mean 'num_threads'"):
        model.set_params(num_thread=1)


def test_every_form_is_copied():
    X = fastlae.data.make_interactions(n_users=60, n_items=40, seed=4)
    for form in ("items", "users"):
        for storage in ("full", "packed"):
            model = EASE(l2=5.0, form=form, storage=storage).fit(X)
            for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
                assert twin.equals(model)
                assert np.array_equal(twin.recommend(X, 4)[0], model.recommend(X, 4)[0])


def test_evaluation_and_sweep(X):
    parts = X.split("strong", seed=2)
    model = EASE(l2=5.0).fit(parts.train)
    by_position = fastlae.data.split_strong(X.matrix, seed=2)
    expected = fastlae.evaluation.evaluate(
        model, by_position.test_fold_in, by_position.test_targets, k=5, protocol="strong"
    )
    found = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=5, protocol=parts.recall)
    assert found.to_dict() == expected.to_dict()
    turned = parts.test.select(parts.test.user_ids[::-1].tolist())
    assert fastlae.evaluation.evaluate(model, parts.test_fold_in, turned, k=5, protocol="strong").to_dict() == (
        expected.to_dict()
    )
    with pytest.raises(DataError, match="nothing is known of"):
        fastlae.evaluation.evaluate(model, parts.test_fold_in.select(parts.test.user_ids[0]), parts.test)
    options = {"models": "EASE", "ridge": [1, 10], "k": 5}
    swept = fastlae.sweep(parts.train, turned, fold_in=parts.test_fold_in, **options)
    matrices = {"fold_in": by_position.test_fold_in, **options}
    assert swept.table == fastlae.sweep(by_position.train, by_position.test_targets, **matrices).table
    assert swept.model.interactions_.shape == parts.train.shape


def test_one_id_of_any_type():
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    model = Popularity().fit(Interactions([one, other], ["a", "b"]))
    assert model.recommend(users=one, k=1)[0].tolist() == [["b"]]
    with pytest.raises(UnknownIdError, match="unknown user UUID"):
        model.recommend(users=uuid.UUID(int=3))
    with pytest.raises(DataError, match=r"up to 2\*\*63 - 1 are possible"):
        Interactions([2**70], ["a"])


def test_an_unknown_id_is_compared_with_few(monkeypatch):
    """Unknown ids are routine, and comparing text is slow."""
    compared = []
    monkeypatch.setattr("fastlae.data.ids.did_you_mean", lambda one, known: compared.extend(known) or "")
    ids = [f"https://example.org/items/{i:08d}" for i in range(2_000)]
    with pytest.raises(UnknownIdError):
        Interactions(range(2_000), ids).item_positions(ids[3] + "x")
    assert 100 < len(compared) <= 500


def test_ids_of_too_many_slots_are_refused(monkeypatch):
    model = Popularity().fit(Interactions([1, 2], ["a" * 200, "b"]))
    monkeypatch.setattr(fastlae._memory, "available_memory", lambda: 2**30)
    with pytest.raises(fastlae.MemoryNeededError, match="ids of"):
        model.recommend(users=[1], k=2**21)
