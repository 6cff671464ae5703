"""MF, GRALS, PLRec, WMF and CoFactor: steps against the equations in float64, and what every recommender does."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae._sparse import as_csr
from fastlae.models.wmf import co_occurrences

MODELS = {
    "MF": fastlae.MF(dim=4, steps=3),
    "MF without bias": fastlae.MF(dim=4, steps=3, bias=False),
    "MF init": fastlae.MF(dim=4, steps=3, implicit_slim="init", slim_l2=2.0),
    "MF init+reg": fastlae.MF(dim=4, steps=3, implicit_slim="init+reg", slim_l2=2.0, slim_min_count=3),
    "MF slim_lle": fastlae.MF(dim=4, steps=0, init="slim_lle", slim_l2=2.0),
    "GRALS": fastlae.GRALS(dim=4, steps=3),
    "PLRec": fastlae.PLRec(dim=4),
    "PLRec init+reg": fastlae.PLRec(dim=4, implicit_slim="init+reg", slim_l2=2.0, steps=3),
    "PLRec slim_lle": fastlae.PLRec(dim=4, init="slim_lle", slim_l2=2.0),
    "WMF": fastlae.WMF(dim=4, l2=0.5, steps=3),
    "WMF cholesky": fastlae.WMF(dim=4, l2=0.01, steps=3, solver="cholesky", frequency_power=0.5),
    "WMF init+reg": fastlae.WMF(dim=4, steps=3, implicit_slim="init+reg", slim_l2=2.0),
    "CoFactor": fastlae.CoFactor(dim=4, steps=3),
    "CoFactor exactly": fastlae.CoFactor(dim=4, steps=3, cg_steps=0),
}


def interactions(seed=0, users=80, items=30):
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 3)) @ rng.random((3, items))
    X = (rng.random((users, items)) < 0.3 * taste / taste.max(axis=0)).astype(np.float64)
    X[:, 7] = 0  # nobody has this item
    return sp.csr_matrix(X)


def fitted(name, X=None, **options):
    model = MODELS[name]
    return type(model)(**{**model.get_params(), **options}).fit(interactions() if X is None else X)


def dense_mf_step(X, E, b, l2_user, l2_item, V=None, weight=0.0):
    """Equations (25) and (27) as they stand, with P."""
    R = X.toarray() - b
    P = R @ E @ np.linalg.inv(E.T @ E + l2_user * np.eye(E.shape[1]))
    right = R.T @ P + (0 if V is None else weight * V)
    return right @ np.linalg.inv(P.T @ P + (l2_item + weight) * np.eye(E.shape[1]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mode", [None, "init+reg"])
def test_mf_against_the_equations(bias, mode):
    X = interactions()
    model = fastlae.MF(
        dim=5, l2_user=2.0, l2_item=0.5, bias=bias, steps=3, dtype="float64", seed=3,
        implicit_slim=mode, slim_l2=2.0, slim_alpha=0.5, slim_min_count=4, slim_weight=3.0,
    ).fit(X)  # fmt: skip
    b = np.asarray(X.mean(axis=0)).ravel() if bias else np.zeros(30)
    E = model._noise(30)
    for step in range(3):
        V = None
        if mode:
            V = fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=0.5, min_count=4)
            E = V if step == 0 else E
        E = dense_mf_step(X, E, b, 2.0, 0.5, V, 3.0 if mode else 0.0)
    np.testing.assert_allclose(model.item_embeddings_, E, atol=1e-9)
    P = (X.toarray() - b) @ E @ np.linalg.inv(E.T @ E + 2.0 * np.eye(5))
    np.testing.assert_allclose(model.score(X), P @ E.T + b, atol=1e-9)


def mf_loss(X, E, b, l2_user, l2_item):
    R = X.toarray() - b
    P = R @ E @ np.linalg.inv(E.T @ E + l2_user * np.eye(E.shape[1]))
    return ((R - P @ E.T) ** 2).sum() + l2_user * (P**2).sum() + l2_item * (E**2).sum()


def test_mf_loss_falls_and_ends_at_the_nuclear_norm():
    """At the optimum P E^T has the singular values max(0, s - sqrt(l2_user l2_item)) of X."""
    X = interactions()
    losses = []
    model = fastlae.MF(dim=12, l2_user=1.5, l2_item=0.5, bias=False, steps=400, dtype="float64")
    model.fit(X, callback=lambda m: losses.append(mf_loss(X, m.item_embeddings_, 0.0, 1.5, 0.5)))
    assert (np.diff(losses) <= 1e-9).all()
    s = np.linalg.svd(X.toarray(), compute_uv=False)[:12]
    found = np.linalg.svd(model.score(X), compute_uv=False)[:12]
    np.testing.assert_allclose(found, np.maximum(0, s - np.sqrt(1.5 * 0.5)), atol=0.05)


def test_mf_applies_implicit_slim_alone():
    X = interactions()
    model = fitted("MF init", X, dtype="float64", seed=1)
    E = model._noise(30)
    for _ in range(3):
        E = fastlae.ops.implicit_slim(E, X, l2=2.0, alpha=1.0)
    np.testing.assert_allclose(model.item_embeddings_, E, rtol=1e-6, atol=1e-12)


def graph_laplacian(X):
    A = (X.T @ X).toarray()
    np.fill_diagonal(A, 0)
    degree = A.sum(axis=1)
    root = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return np.eye(len(A)) - root[:, None] * A * root


@pytest.mark.parametrize("values", [False, True])
def test_grals_loss_falls_to_a_stationary_point(values):
    X = interactions()
    if values:
        X.data = 1 + np.random.default_rng(0).random(X.nnz)
    L, losses = graph_laplacian(X), []

    def loss(E):
        return mf_loss(X, E, 0.0, 1.0, 0.5) + 3.0 * np.trace(E.T @ L @ E)

    model = fastlae.GRALS(dim=3, l2_user=1.0, l2_item=0.5, l2_graph=3.0, bias=False, steps=300, dtype="float64")
    model.fit(X, callback=lambda m: losses.append(loss(m.item_embeddings_)))
    assert (np.diff(losses) <= 1e-9 * losses[0]).all()
    E = model.item_embeddings_
    P = model.user_vectors(X)
    gradient = E @ (P.T @ P + 0.5 * np.eye(3)) - X.T @ P + 3.0 * L @ E
    assert np.abs(gradient).max() < 1e-3


def test_plrec_against_the_equation():
    X = interactions()
    model = fitted("PLRec", X, dtype="float64", l2=2.0, power=0.5)
    V = np.linalg.svd(X.toarray())[2][:4].T
    Z = X @ (V / ((np.asarray(X.sum(axis=0)).ravel() + 1e-4) ** 0.5)[:, None])
    Q = np.linalg.solve(Z.T @ Z + 2.0 * np.eye(4), Z.T @ X.toarray())
    np.testing.assert_allclose(model.score(X), Z @ Q, atol=1e-6)


def test_plrec_regularized_against_the_equation():
    X = interactions()
    model = fitted("PLRec init+reg", X, dtype="float64", l2=2.0, power=0.5, slim_weight=3.0, steps=2)
    V = model._noise(30)
    for _ in range(2):
        V = np.linalg.qr(fastlae.ops.implicit_slim(V, X, l2=2.0, alpha=1.0))[0]
    Z = X @ (V / ((np.asarray(X.sum(axis=0)).ravel() + 1e-4) ** 0.5)[:, None])
    Q = np.linalg.solve(Z.T @ Z + 5.0 * np.eye(4), Z.T @ X.toarray() + 3.0 * V.T)
    np.testing.assert_allclose(model.score(X), Z @ Q, atol=1e-6)


def dense_wmf_rows(X, F, alpha, ridge, prior=0.0):
    rows = []
    for u, x in enumerate(X.toarray()):
        c = 1 + alpha * x
        rows.append(np.linalg.solve((F.T * c) @ F + ridge[u] * np.eye(F.shape[1]), (F.T * c) @ (x > 0)))
    return np.array(rows)


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("power", [0.0, 0.7])
def test_wmf_against_the_equations(values, power):
    X = interactions()
    if values:
        X.data = 1 + np.random.default_rng(0).random(X.nnz)
    options = {"alpha": 3.0, "l2": 0.1, "frequency_power": power, "dtype": "float64", "steps": 2, "seed": 2}
    exact = fastlae.WMF(dim=4, solver="cholesky", **options).fit(X)
    gradients = fastlae.WMF(dim=4, cg_steps=30, **options).fit(X)

    def ridge(X):
        return 0.1 * (3.0 * X.getnnz(axis=1) + X.shape[1]) ** power

    E = exact._noise(30, 0.1 / 2)
    for _ in range(2):
        P = dense_wmf_rows(X, E, 3.0, ridge(X))
        E = dense_wmf_rows(X.T.tocsr(), P, 3.0, ridge(X.T.tocsr()))
    np.testing.assert_allclose(exact.item_embeddings_, E, atol=1e-8)
    np.testing.assert_allclose(gradients.item_embeddings_, E, atol=1e-6)
    np.testing.assert_allclose(exact.score(X), dense_wmf_rows(X, E, 3.0, ridge(X)) @ E.T, atol=1e-8)


def test_wmf_regularized_pulls_items_to_implicit_slim():
    X = interactions()
    model = fitted("WMF init+reg", X, slim_weight=1e6, steps=1, dtype="float64", seed=5)
    V = fastlae.ops.implicit_slim(model._noise(30, 0.1 / 2), X, l2=2.0, alpha=1.0)
    np.testing.assert_allclose(model.item_embeddings_, V, atol=1e-3)


def test_co_occurrences_against_the_definition():
    X = interactions()
    G = (X.T @ X).toarray()
    np.fill_diagonal(G, 0)
    of_item = G.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(G * G.sum() / np.outer(of_item, of_item)) - np.log(1.2)
    expected = np.where(expected > 0, expected, 0)
    np.testing.assert_allclose(co_occurrences(as_csr(X), 1.2, 1).scipy().toarray(), np.nan_to_num(expected), atol=1e-5)


def test_cofactor_loss_falls():
    X = interactions()
    dense = X.toarray()
    c = np.where(dense > 0, 0.3, 0.03)
    losses = []
    model = fastlae.CoFactor(dim=4, steps=25, dtype="float64").fit(
        X, callback=lambda m: losses.append((c * (dense - m.score(X)) ** 2).sum())
    )
    assert losses[-1] < 0.9 * (c * dense**2).sum()
    assert model.steps_ == 25


@pytest.mark.parametrize("name", MODELS)
class TestEveryModel:
    def test_same_bits_for_any_number_of_threads(self, name):
        one, three = fitted(name, num_threads=1), fitted(name, num_threads=3)
        np.testing.assert_array_equal(one.item_embeddings_, three.item_embeddings_)
        np.testing.assert_array_equal(one.score(interactions(1)), three.score(interactions(1)))

    def test_recommends_by_score_what_users_have_not(self, name):
        model, X = fitted(name), interactions(1)
        items, scores = model.recommend(X, k=30)
        expected = model.score(X)
        assert (items[:, :-1] != 7).all()
        assert not (items == 7).any()  # nobody has it
        for u in range(0, 80, 9):
            got = items[u][items[u] >= 0]
            assert not set(got) & set(X[u].indices)
            if X[u].nnz:
                np.testing.assert_allclose(scores[u, : len(got)], expected[u, got], rtol=1e-4, atol=1e-5)
                assert len(got) == 29 - X[u].nnz
        assert (model.recommend(sp.csr_matrix((1, 30)), k=3)[0] == -1).all()

    def test_contributions_add_up_to_the_score(self, name):
        model, X = fitted(name), interactions(1)
        user = int(X.getnnz(axis=1).argmax())
        items, parts = model.explain(X[user], 5, k=30)
        assert set(items) == set(X[user].indices)
        np.testing.assert_allclose(parts.sum() + model.bias_[5], model.score(X[user])[0, 5], rtol=1e-3, atol=1e-4)

    def test_scores_are_of_user_vectors(self, name):
        model, X = fitted(name), interactions(1)
        P = model.user_vectors(X)
        np.testing.assert_allclose(model.score(X), P @ model.item_embeddings_.T + model.bias_, atol=1e-4)

    def test_saves_and_loads(self, name, tmp_path):
        model = fitted(name)
        model.save(tmp_path / "model.safetensors")
        again = fastlae.load(tmp_path / "model.safetensors")
        assert model.equals(again)
        np.testing.assert_array_equal(model.score(interactions(1)), again.score(interactions(1)))

    def test_speaks_ids(self, name):
        rows, columns = interactions().nonzero()
        X = fastlae.Interactions([f"u{r}" for r in rows], [f"i{c}" for c in columns])
        model = fitted(name, X)
        assert model.recommend(users=["u3"], k=2)[0][0, 0].startswith("i")
        assert model.similar_items("i3", k=2)[0].shape == (1, 2)
        assert model.explain("u3", "i4")[0][0].startswith("i")

    def test_other_scale_of_numbers(self, name):
        assert fitted(name, dtype="float64").item_embeddings_.dtype == np.float64
        assert fitted(name).item_embeddings_.dtype == np.float32

    def test_refuses(self, name):
        with pytest.raises(ValueError, match="dim"):
            fitted(name, dim=0)
        with pytest.raises(ValueError, match="X: expected interactions, got none"):
            fitted(name, sp.csr_matrix((4, 30)))
        with pytest.raises(ValueError, match="non-negative"):
            fitted(name, -interactions())
        with pytest.raises(fastlae.NotFittedError):
            type(MODELS[name])().score(interactions())
        with pytest.raises(ValueError, match="expected 30 columns"):
            fitted(name).score(interactions(items=20))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (fastlae.MF(l2_user=0), "l2_user"),
        (fastlae.MF(l2_item=-1), "l2_item"),
        (fastlae.MF(init="svd"), "init"),
        (fastlae.MF(implicit_slim="reg"), "implicit_slim"),
        (fastlae.MF(implicit_slim="init", slim_l2=0), "l2"),
        (fastlae.MF(implicit_slim="init+reg", slim_alpha=-1), "slim_alpha"),
        (fastlae.MF(implicit_slim="init+reg", slim_min_count=1e6), "min_count"),
        (fastlae.MF(steps=-1), "steps"),
        (fastlae.GRALS(l2_graph=-1), "l2_graph"),
        (fastlae.PLRec(dim=30), "dim: expected less"),
        (fastlae.PLRec(implicit_slim="init"), "implicit_slim"),
        (fastlae.PLRec(init="normal"), "init"),
        (fastlae.WMF(alpha=0), "alpha"),
        (fastlae.WMF(solver="lu"), "solver"),
        (fastlae.WMF(cg_steps=0), "cg_steps"),
        (fastlae.CoFactor(c1=0.01), "c1"),
        (fastlae.CoFactor(negatives=0), "negatives"),
    ],
)
def test_refuses_hyperparameters(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(interactions())


def test_validation_ends_the_training_at_the_best_step():
    X = interactions(users=200)
    split = fastlae.data.split_strong(X, seed=0)
    validation = (split.validation_fold_in, split.validation_targets)
    model = fastlae.MF(dim=4, steps=50)
    scores = []

    def watch(m):
        found = fastlae.evaluation.evaluate(m, *validation, k=10, metrics="ndcg", protocol="strong")
        scores.append(float(found["ndcg@10"]))

    model.fit(split.train, validation=validation, k=10, callback=watch)
    assert model.steps_ < 50
    assert len(scores) == model.steps_ + 1
    assert scores[-1] <= scores[-2]
    assert (np.diff(scores[:-1]) > 0).all()


def test_a_callback_ends_the_training():
    model = fastlae.WMF(dim=4, steps=50).fit(interactions(), callback=lambda m: m.steps_ == 3)
    assert model.steps_ == 3
    with pytest.raises(TypeError, match="validation"):
        model.fit(interactions(), validation=interactions())


def test_similar_items_are_those_of_the_largest_cosine():
    model = fitted("MF")
    items, cosines = model.similar_items([3, 0], k=5)
    length = np.linalg.norm(model.item_embeddings_, axis=1, keepdims=True)
    E = model.item_embeddings_ / np.where(length > 0, length, 1)
    expected = E @ E[3]
    expected[[3, 7]] = -np.inf
    assert items[0].tolist() == np.argsort(-expected)[:5].tolist()
    np.testing.assert_allclose(cosines[0], np.sort(expected)[::-1][:5], atol=1e-5)


@pytest.mark.parametrize("seed", [None, -1, True, 1.5])
def test_seeds_are_integers(seed):
    with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got"):
        fastlae.MF(dim=2, seed=seed).fit(interactions())
