"""Every model in both forms: the answers agree, add up, and survive copying, refitting and interruption."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlae
from fastlae import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE, NotFittedError, Popularity
from fastlae.models import inverse, linear

USERS, ITEMS = 40, 60


def interactions(seed=0, users=USERS, items=ITEMS, ratings=False):
    """With an empty user, an item that nobody touched, and two users who are alike."""
    rng = np.random.default_rng(seed)
    X = (rng.random((users, items)) < rng.uniform(0.05, 0.4, items)).astype(float)
    if ratings:
        X *= rng.integers(1, 6, X.shape) / 2
    X[3] = 0
    X[:, 5] = 0
    X[8] = X[7]
    return sp.csr_matrix(X)


P = np.linspace(0.1, 0.7, ITEMS)
MODELS = {
    "LAE": (LAE, dict(l2=5.0)),
    "EASE": (EASE, dict(l2=5.0)),
    "EASE, l2 per item": (EASE, dict(l2=np.linspace(1, 9, ITEMS))),
    "DLAE": (DLAE, dict(l2=2.0, dropout=0.4)),
    "EDLAE": (EDLAE, dict(l2=2.0, dropout=0.4)),
    "EDLAE, dropout per item": (EDLAE, dict(l2=1.0, dropout=P)),
    "RLAE": (RLAE, dict(l2=5.0, xi=0.1)),
    "RDLAE": (RDLAE, dict(l2=2.0, dropout=0.4, xi=0.3)),
    "DEQL": (DEQL, dict(l2=2.0, dropout=0.3, b=0.5)),
    "DEQL, b=0": (DEQL, dict(l2=0.0, dropout=0.3, b=0.0)),
    "DEQL, zero diagonal": (DEQL, dict(l2=1.0, dropout=0.6, b=2.0, zero_diagonal=True)),
    "DEQL, dropout per item": (DEQL, dict(l2=0.0, dropout=P, b=0.4)),
}
POWERS = {
    "plain": {},
    "user_power": dict(user_power=0.5),
    "user_power 3": dict(user_power=3.0),
    "negative powers": dict(user_power=-0.5, popularity_power=-0.4),
    "popularity_power": dict(popularity_power=0.3),
}


@pytest.mark.parametrize("ratings", [False, True], ids=["ones", "ratings"])
@pytest.mark.parametrize("powers", POWERS.values(), ids=POWERS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-4)])
def test_the_forms_agree(name, powers, ratings, dtype, tolerance):
    cls, params = MODELS[name]
    X = interactions(ratings=ratings)
    a, b = (cls(**params, **powers, form=form, dtype=dtype).fit(X) for form in ("items", "users"))
    assert (a.form_, b.form_) == ("items", "users")
    W = a.weights_.astype(float)
    scale = abs(W).max()

    def close(got, want):
        np.testing.assert_allclose(got, want, atol=tolerance * abs(np.asarray(want)).max(initial=1))

    # Trained, shuffled, repeated, new, empty, non-binary, and rows of all kinds together.
    new = interactions(1, users=9)
    mixed = sp.vstack([X[[8, 3, 3, 0]], new, X[[20]] * 2, X[10:15]]).tocsr()
    for rows in (X, X[[9, 2, 30]], X[7:9], X[:0], X[[0]], new, mixed):
        want = rows @ W
        for model in (a, b):
            got = model.score(rows)
            assert got.dtype == dtype
            close(got, want)
            items, scores = model.recommend(rows, k=ITEMS)
            allowed = rows.toarray() == 0
            allowed[:, 5] = False
            allowed[np.diff(rows.indptr) == 0] = False
            np.testing.assert_array_equal((items >= 0).sum(axis=1), allowed.sum(axis=1))
            for u in range(rows.shape[0]):
                mine = items[u][items[u] >= 0]
                assert allowed[u, mine].all()
                assert len(set(mine)) == len(mine)
                close(scores[u, : len(mine)], want[u, mine])
                assert (np.diff(scores[u, : len(mine)]) <= 0).all()

    close(b.weights_block(10, 20), W[:, 10:20])
    assert b.weights_block(10, 10).shape == (ITEMS, 0)
    close(b.weights_, W)
    for model in (a, b):
        ids, weights = model.similar_items([4, 4, 50], k=6)
        assert ids.shape == (3, 6)
        for item, row, values in zip([4, 4, 50], ids, weights, strict=True):
            assert item not in row
            close(values, W[item, row])
            close(values, np.sort(np.delete(W[item], [item, 5]))[::-1][:6])
        for row in (X[[0]], new[[1]]):
            for item in (0, 17, row.indices[0]):
                parts_of, parts = model.explain(row, item, k=ITEMS)
                close(parts.sum(), (row @ W)[0, item])
                assert set(parts_of) == set(row.indices)
                assert (np.diff(parts) <= 0).all()
                assert len(model.explain(row, item, k=2)[0]) == 2
        few = model.sparsify(top_k=4)
        assert few.form_ == "sparse"
        assert (np.diff(few.weights_.tocsc().indptr) <= 4).all()
        kept = few.weights_.toarray()
        close(kept[kept != 0], W[kept != 0])
        close(np.sort(abs(kept), axis=0)[-4:], np.sort(abs(W), axis=0)[-4:])
        close(few.score(mixed), mixed @ kept.astype(float))
        nearly_all = model.sparsify(top_k=ITEMS).recommend(X, 5)[1]
        close(np.maximum(nearly_all, -99), np.maximum(model.recommend(X, 5)[1], -99))  # -inf in empty slots
        cut = model.sparsify(threshold=0.3 * scale).weights_.toarray()
        assert abs(cut[cut != 0]).min() >= 0.3 * scale
        close(few.explain(X[[0]], 9, k=ITEMS)[1].sum(), (X[[0]] @ kept)[0, 9])


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    users=st.integers(0, 9),
    items=st.integers(0, 9),
    name=st.sampled_from([n for n in MODELS if "per item" not in n]),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    k=st.integers(1, 12),
)
def test_any_shape(seed, users, items, name, density, k):
    cls, params = MODELS[name]
    X = sp.csr_matrix((np.random.default_rng(seed).random((users, items)) < density).astype(float))
    params = {**params, "l2": max(1.0, params["l2"])}  # positive definite whatever the data
    a, b = (cls(**params, form=form, dtype="float64").fit(X) for form in ("items", "users"))
    np.testing.assert_allclose(a.weights_, b.weights_, atol=1e-9)
    np.testing.assert_allclose(a.score(X), b.score(X), atol=1e-9)
    for model in (a, b, a.sparsify(top_k=k), fastlae.Popularity().fit(X)):
        top, scores = model.recommend(X, k=k)
        assert top.shape == scores.shape == (users, k)
        assert ((top >= 0) == (scores > -np.inf)).all()
        assert not np.isnan(scores).any()


def test_popularity_scaling_and_weights_follow_their_definition():
    X = interactions(ratings=True)
    plain, scaled = EDLAE(l2=3.0, dtype="float64").fit(X), EDLAE(l2=3.0, popularity_power=0.7, dtype="float64").fit(X)
    d = X.power(2).sum(axis=0).A1
    np.testing.assert_allclose(plain.item_counts_, d)
    np.testing.assert_allclose(scaled.weights_, plain.weights_ * d**0.7, atol=1e-12)
    n = np.diff(X.indptr)
    for power in (0.5, 2.0, -1.0, 400.0, -400.0):
        w = linear.user_weights(fastlae._sparse.as_csr(X), power)
        assert w[3] == 0
        np.testing.assert_allclose(w[n > 0].mean(), 1)
        if abs(power) < 10:
            np.testing.assert_allclose(w[n > 0] / w[0], (n[n > 0] / n[0]) ** -power)


@pytest.mark.parametrize("power", [30.0, 400.0, -30.0])
def test_users_of_vanishing_weight(power):
    X = interactions()
    a, b = (EASE(l2=2.0, user_power=power, form=form, dtype="float64").fit(X) for form in ("items", "users"))
    np.testing.assert_allclose(a.score(X), b.score(X), atol=1e-6 * abs(a.score(X)).max())


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("name", MODELS)
def test_float32_is_close_to_float64(name, form):
    cls, params = MODELS[name]
    X = interactions(ratings=True)
    single, double = (cls(**params, form=form, dtype=dtype).fit(X) for dtype in ("float32", "float64"))
    assert single.weights_.dtype == np.float32
    assert double.weights_.dtype == np.float64
    np.testing.assert_allclose(single.weights_, double.weights_, atol=1e-4 * abs(double.weights_).max())


@pytest.mark.parametrize("users", [30, 200])
@pytest.mark.parametrize("l2", [100.0, 1.0, 0.1, 1e-2, 1e-3, 1e-5])
def test_the_users_form_is_right_or_refuses(l2, users):
    """Its diagonal is a difference that cancels where l2 is tiny beside an item's interactions."""
    X = fastlae.data.make_interactions(n_users=users, n_items=80, n_interactions=users * 16, seed=0)
    want = EASE(l2=l2, dtype="float64", form="items").fit(X).weights_
    try:
        got = EASE(l2=l2, form="users").fit(X).weights_
    except np.linalg.LinAlgError:
        assert l2 <= 0.1
    else:
        np.testing.assert_allclose(got, want, atol=0.05 * abs(want).max())


def test_results_do_not_depend_on_the_format_or_number_type_of_the_input():
    X = interactions()
    want = EASE(l2=2.0).fit(X).weights_
    X64 = X.copy()
    X64.indices, X64.indptr = X64.indices.astype(np.int64), X64.indptr.astype(np.int64)
    for other in (
        X.tocsc(), X.tocoo(), X.toarray(), X.astype(np.uint8), X.astype(bool), X.astype(np.int64), sp.csr_array(X), X64,
        X.tolil(), X.toarray().astype(np.uint8).tolist(),
    ):  # fmt: skip
        np.testing.assert_array_equal(EASE(l2=2.0).fit(other).weights_, want)


def test_auto_takes_the_smaller_side():
    X = interactions()
    assert EASE().fit(X).form_ == "users"
    assert EASE().fit(X.T).form_ == "items"
    assert EASE(l2=np.r_[0.0, np.ones(ITEMS - 1)]).fit(X).form_ == "items"  # Lambda has no inverse
    with pytest.raises(ValueError, match="form='users' needs a positive l2"):
        EASE(l2=0, form="users").fit(X)


def test_popularity():
    X = interactions(ratings=True)
    model = Popularity().fit(X)
    counts = X.getnnz(axis=0)
    np.testing.assert_array_equal(model.counts_, counts)
    np.testing.assert_array_equal(model.score(X[:2]), np.tile(counts, (2, 1)))
    items, scores = model.recommend(X, k=3)
    masked = np.where(X.toarray() > 0, -1, counts)
    np.testing.assert_array_equal(items, np.argsort(-masked, kind="stable")[:, :3])
    np.testing.assert_array_equal(scores, np.take_along_axis(masked, items, 1))
    assert (model.recommend(X[[3]], k=ITEMS)[0] != 5).all()
    np.testing.assert_array_equal(model.recommend(X[[3]], k=2, items=[1, 2], forbid=[2])[0], [[1, -1]])


@pytest.mark.parametrize("form", ["items", "users"])
def test_restrictions(form):
    X = interactions()
    model = EASE(l2=3.0, form=form).fit(X)
    assert (model.recommend(X, k=4, items=[])[0] == -1).all()
    items, _ = model.recommend(X, k=4, items=[1, 5, 9])
    assert set(np.unique(items)) == {-1, 1, 9}  # 5 has no interactions
    assert not np.isin(model.recommend(X, k=ITEMS, forbid=[0, 1])[0], [0, 1]).any()
    per_user, _ = model.recommend(X, k=ITEMS, exclude_seen=False, forbid=X)
    np.testing.assert_array_equal(per_user, model.recommend(X, k=ITEMS)[0])
    assert (
        (model.recommend(X, k=ITEMS, exclude_seen=False)[0] >= 0).sum(1) == np.where(X.getnnz(1), ITEMS - 1, 0)
    ).all()


CLASSES = [LAE, EASE, DLAE, EDLAE, RLAE, RDLAE, DEQL, Popularity]


@pytest.mark.parametrize("cls", CLASSES)
def test_hyperparameters(cls):
    model = cls()
    assert repr(model) == f"{cls.__name__}()"
    params = model.get_params()
    assert repr(cls(**params)) == repr(model)
    assert model.set_params(num_threads=1) is model
    assert repr(model) == f"{cls.__name__}(num_threads=1)"
    with pytest.raises(ValueError, match=rf"{cls.__name__} has no hyperparameter 'depth'"):
        model.set_params(depth=3)
    with pytest.raises(TypeError):
        cls(1.0)  # keyword-only
    if cls is not Popularity:
        vector = [1.0] * ITEMS
        assert cls(l2=vector).l2 is vector
        assert repr(cls(l2=np.ones(3), dtype=np.float64)) == f"{cls.__name__}(l2=<3 values>, dtype='float64')"
        assert "<class" not in repr(cls(dtype=np.float32).fit(interactions()))


@pytest.mark.parametrize("cls", CLASSES)
def test_unfitted(cls):
    X = interactions()
    calls = [lambda m: m.score(X), lambda m: m.recommend(X, k=1), lambda m: m.save("never")]
    if cls is not Popularity:
        calls += [
            lambda m: m.weights_, lambda m: m.weights_block(0, 1), lambda m: m.similar_items([0], 1),
            lambda m: m.n_items_,
            lambda m: m.explain(X[:1], 0), lambda m: m.sparsify(top_k=1),
        ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotFittedError, match=rf"this {cls.__name__} is not fitted yet"):
            call(cls())


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("cls", CLASSES)
def test_copies_and_refits(cls, form):
    X, Y = interactions(), interactions(2, users=30, items=50)
    more = {} if cls is Popularity else {"form": form}
    model = cls(**more)
    assert model.fit(X) is model
    want = model.score(X)
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.score(X), want)
        twin.fit(Y)  # forgets X, and leaves the original alone
        np.testing.assert_array_equal(twin.score(Y), cls(**more).fit(Y).score(Y))
        np.testing.assert_array_equal(model.score(X), want)
    if cls is not Popularity:
        assert model.weights_.shape == (ITEMS, ITEMS)
        assert model.fit(Y).weights_.shape == (50, 50)
        with pytest.raises(ValueError, match="X: expected 50 columns"):
            model.score(X)


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("where", ["invert_in_place", "diagonal", "diagonal_weights"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_fit_that_fails_leaves_the_model_as_it_was(form, where, error, monkeypatch):
    X = interactions()
    model = EDLAE(form=form).fit(X)
    want = model.recommend(X, k=5)

    def fail(*_, **__):
        raise error

    if where == "diagonal_weights":
        monkeypatch.setattr(linear, "diagonal_weights" if form == "items" else "check_condition", fail)
    elif where == "diagonal":
        for each in (inverse.ItemsInverse, inverse.UsersInverse):
            monkeypatch.setattr(each, "diagonal", fail)
    else:
        monkeypatch.setattr(inverse, where, fail)
    with pytest.raises(error):
        model.fit(interactions(4, items=30))
    np.testing.assert_array_equal(model.recommend(X, k=5)[0], want[0])
    np.testing.assert_array_equal(model.recommend(X, k=5)[1], want[1])


def test_hyperparameters_set_after_fit_wait_for_the_next_fit():
    X = interactions()
    for form in ("items", "users"):
        model = EASE(form=form).fit(X)
        want, scores = model.recommend(X, k=3), model.score(X)
        model.set_params(dtype="float64", form="items", l2=1.0, popularity_power=1.0)
        np.testing.assert_array_equal(model.recommend(X, k=3)[0], want[0])
        np.testing.assert_array_equal(model.score(X), scores)
        assert model.fit(X).score(X).dtype == np.float64


def test_memory_is_told_before_it_is_taken(monkeypatch):
    huge = sp.csr_matrix((2, 2_000_000), dtype=np.float32)
    with pytest.raises(
        fastlae.MemoryNeededError, match=r"items form, packed .* GB of memory, .* form='users', storage='packed' needs"
    ):
        EASE(form="items").fit(huge)
    assert EASE().fit(huge).form_ == "users"
    with pytest.raises(fastlae.MemoryNeededError, match="weights_block"):
        _ = EASE().fit(huge).weights_
    with pytest.raises(fastlae.MemoryNeededError, match="Score fewer users"):
        EASE().fit(huge).score(sp.csr_matrix((10**6, 2_000_000), dtype=np.float32))
    monkeypatch.setattr(fastlae._memory, "available_memory", lambda: 1000)
    with pytest.raises(fastlae.MemoryNeededError, match=r"1.0 kB are available"):
        EASE().fit(interactions())


def test_a_singular_matrix_is_named():
    X = interactions()
    with pytest.raises(fastlae.NotPositiveDefiniteError, match="fails at row"):
        LAE(l2=0).fit(X)
    twins = np.random.default_rng(0).random((200, 9)) < 0.4
    twins[:, 7] = twins[:, 2]
    with pytest.raises(np.linalg.LinAlgError, match="row 7"):
        EASE(l2=0).fit(twins.astype(float))


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        *[(EASE, dict(l2=v), "l2: ") for v in (-1, np.nan, np.inf, None, "5", [[1]], [1, 2], 1j, True)],
        *[(DLAE, dict(dropout=v), "dropout: ") for v in (1, -0.1, 1.5, np.nan, "x", None, [0.5], [[0.5]])],
        *[
            (LAE, {name: v}, f"{name}: ")
            for name in ("user_power", "popularity_power")
            for v in ("x", None, [1], np.nan)
        ],
        *[(RLAE, dict(xi=v), "xi: ") for v in (np.nan, None, "0", [0.1])],
        *[(DEQL, {name: v}, f"{name}: ") for name in ("a", "b") for v in (-1, np.nan, "x", [1], None)],
        (DEQL, dict(a=0, b=0), "a=0, b=0.*nothing to minimise"),
        (DEQL, dict(b=0, dropout=0), "nothing to minimise"),
        (DEQL, dict(dropout=[0.5] * ITEMS), "l2: must be 0"),
        (DEQL, dict(dropout=[0.5] * 7, l2=0), "dropout: expected a number, or one per item"),
        *[(EASE, dict(form=v), "form: expected") for v in ("dual", None, 1)],
        *[(EASE, dict(dtype=v), "dtype: expected float32 or float64") for v in ("float16", int, None, "x", ">f4")],
        *[(EASE, dict(num_threads=v), "num_threads: ") for v in (-1, 1.5, "2", None, True, 2**70)],
        (EASE, dict(device="gpu"), "device: "),
        (EASE, dict(popularity_power=60), "popularity_power: "),
        (EASE, dict(l2=1e300), "X, l2: "),
    ],
)
def test_bad_hyperparameters_are_named(cls, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cls(**params).fit(interactions())


def changed(row, column, value):
    X = interactions().tolil()
    X[row, column] = value
    return X.tocsr()


@pytest.mark.parametrize(
    "X",
    [
        changed(0, 0, np.nan), changed(1, 2, np.inf), changed(1, 2, -1), changed(1, 2, 1e200), "X", None, 5, np.ones(4),
        np.ones((2, 2, 2)), interactions().astype(complex), [["a"]],
    ],
)  # fmt: skip
def test_bad_interactions_are_named(X):
    with pytest.raises((ValueError, TypeError), match=r"^X: "):
        EASE().fit(X)
    with pytest.raises((ValueError, TypeError), match=r"^X: "):
        FITTED.recommend(X, k=2)


@pytest.mark.parametrize("X", [changed(0, 0, np.nan), changed(1, 2, -1), "X", np.ones(4)])
def test_bad_interactions_of_popularity(X):
    with pytest.raises((ValueError, TypeError), match=r"^X: "):
        Popularity().fit(X)


FITTED = EASE().fit(interactions())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda v=v: FITTED.recommend(interactions(), k=v), "k: ") for v in (0, -1, 1.5, None, "3", True, 2**60)],
        *[
            (lambda v=v: FITTED.recommend(interactions(), k=1, items=v), "items: ")
            for v in ([60], [-1], [0.5], {1}, "x")
        ],
        (lambda: FITTED.recommend(interactions(), k=1, forbid=interactions()[:2]), "forbid: "),
        *[(lambda v=v: FITTED.similar_items(v, k=1), "ids: ") for v in ([60], [-1], [1.5], "x", [[1]], [True])],
        *[(lambda v=v: FITTED.similar_items([1], k=v), "k: ") for v in (0, 1.5)],
        *[(lambda v=v: FITTED.explain(interactions()[:1], v), "item: ") for v in (-1, 60, 1.5, "x", None, True)],
        *[(lambda v=v: FITTED.explain(interactions()[:1], 1, k=v), "k: ") for v in (0, -1, 1.5, None)],
        (lambda: FITTED.explain(interactions(), 1), "x: expected one row"),
        (lambda: FITTED.explain(interactions()[:1, :4], 1), "x: expected 60 columns"),
        (lambda: FITTED.weights_block(3, 2), "j0, j1: "),
        (lambda: FITTED.weights_block(0, 61), "j0, j1: "),
        (lambda: FITTED.weights_block(0, 1.5), "j0, j1: "),
        (lambda: FITTED.sparsify(), "top_k, threshold: "),
        (lambda: FITTED.sparsify(top_k=1, threshold=1), "top_k, threshold: "),
        *[(lambda v=v: FITTED.sparsify(top_k=v), "top_k: ") for v in (0, -1, 1.5, "x")],
        *[(lambda v=v: FITTED.sparsify(threshold=v), "threshold: ") for v in (-1, np.nan, "x")],
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=rf"^{message}"):
        call()


def test_similar_items_of_none():
    assert FITTED.similar_items([], k=3)[0].shape == (0, 3)
