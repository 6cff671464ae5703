"""Low-rank models against dense brute force in float64 from their definitions, and what the paper says of them."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import fastlae
from fastlae import (
    LRDEQL,
    LRDLAE,
    LREDLAE,
    LRR,
    VLAE,
    WLAE,
    ConvergenceWarning,
    LowRankEDLAE,
    MFDropout,
    NuclearPower,
    RegularizedPCA,
    SpectralPath,
)
from fastlae.ops import spectral

USERS, ITEMS, K = 120, 45, 9


def interactions(users=USERS, items=ITEMS, seed=0):
    """Structured, with an empty user and an item that nobody touched."""
    rng = np.random.default_rng(seed)
    taste = rng.random((users, 6)) @ rng.random((6, items)) / 3
    X = (rng.random((users, items)) < taste * rng.uniform(0.1, 0.9, items)).astype(float)
    X[3] = 0
    X[:, 5] = 0
    return sp.csr_matrix(X)


X = interactions()
WIDE = interactions(users=40, items=70, seed=1)
SIGMA = np.linalg.svd(X.toarray(), compute_uv=False)
WEIGHTS = np.sort(np.random.default_rng(0).uniform(0.5, 4, K))
L2, P = 4.0, 0.4
MODELS = {
    "LRR": LRR(k=K, l2=3.0),
    "LRR, weights": LRR(k=K, weights=WEIGHTS[::-1]),
    "RegularizedPCA": RegularizedPCA(k=K, l2=2.0),
    "VLAE, c": VLAE(k=K, c=8.0),
    "VLAE, weights": VLAE(weights=WEIGHTS),
    "WLAE": WLAE(weights=WEIGHTS),
    "MFDropout": MFDropout(keep=0.93),
    "NuclearPower 1": NuclearPower(l2=5.0, p=1),
    "NuclearPower 1.5": NuclearPower(l2=0.4, p=1.5),
    "NuclearPower 2": NuclearPower(l2=0.05, p=2),
    "LRDLAE": LRDLAE(k=K, l2=L2, dropout=P),
    "LREDLAE 1": LREDLAE(k=K, l2=L2, dropout=P),
    "LREDLAE 2": LREDLAE(k=K, l2=L2, dropout=P, method=2),
    "LRDEQL": LRDEQL(k=K, l2=L2, dropout=P, b=0.8),
    "LowRankEDLAE": LowRankEDLAE(k=K, l2=L2, dropout=P, max_iterations=200),
    "LowRankEDLAE, random": LowRankEDLAE(k=K, l2=L2, dropout=P, init="random", max_iterations=300),
    "LowRankEDLAE, admm": LowRankEDLAE(k=K, l2=L2, dropout=P, solver="admm", omega=50.0, max_iterations=4),
}
SPECTRAL = [name for name, model in MODELS.items() if hasattr(model, "_components")]


def fresh(name, **params):
    model = MODELS[name]
    return type(model)(**{**model.get_params(), **params})


def fitted(name, data=X, **params):
    model = fresh(name, **params)
    if model.get_params().get("solver") == "admm":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(data)
    return model.fit(data)


def dense_spectral(A, model):
    """W of a spectral model from a dense SVD, by formulas written out here."""
    _, s, Vt = np.linalg.svd(A, full_matrices=False)
    there = s > 1e-9 * s[0]
    s, V = s[there], Vt[there].T
    if isinstance(model, LRR):
        lam = np.full(len(s), model.l2) if model.weights is None else model.weights
        f = [s[i] ** 2 / (s[i] ** 2 + lam[i]) for i in range(model.k)]
    elif isinstance(model, RegularizedPCA):
        f = [max(s[i] - model.l2, 0) / s[i] for i in range(model.k)]
    elif isinstance(model, VLAE):
        w = [model.c / s[i] for i in range(model.k)] if model.weights is None else sorted(model.weights)
        f = [max(s[i] - w[i], 0) / s[i] for i in range(len(w))]
    elif isinstance(model, WLAE):
        f = [max(1 - w / s[i] ** 2, 0) for i, w in enumerate(model.weights)]
    else:
        if isinstance(model, MFDropout):
            strength, p = (1 - model.keep) / model.keep, 2.0
        else:
            strength, p = model.l2, model.p

        # The shrunk values minimise sum (s - y)^2 + strength (sum y)^p: a convex problem of its own.
        def value(y):
            return ((s - y) ** 2).sum() + strength * y.sum() ** p

        def slope(y):
            return -2 * (s - y) + strength * p * max(y.sum(), 1e-300) ** (p - 1)

        y = scipy.optimize.minimize(
            value, s / 2, jac=slope, bounds=[(0, None)] * len(s), tol=1e-15, options={"maxiter": 10_000}
        ).x
        f = y / s
    return V[:, : len(f)] @ np.diag(f) @ V[:, : len(f)].T


def dense_projected(A, model, weights=None):
    w = np.ones(len(A)) if weights is None else weights
    G = A.T @ (w[:, None] * A)
    d = np.diag(G)
    p = model.dropout
    scale = 1.0
    l2 = model.l2
    if isinstance(model, LRDEQL):
        l2, scale = l2 / ((1 - p) ** 2 * model.b**2), 1 / (1 - p)
    Lam = p / (1 - p) * d + l2
    C = np.linalg.inv(G + np.diag(Lam))
    W = C @ G if isinstance(model, (LRDLAE, LRDEQL)) else np.eye(len(d)) - C / np.diag(C)
    if isinstance(model, LREDLAE) and model.method == 2:
        U, s, Vt = np.linalg.svd(W)
        return (U[:, : model.k] * s[: model.k]) @ Vt[: model.k]
    Q = np.linalg.svd(np.vstack([np.sqrt(w)[:, None] * A, np.diag(np.sqrt(Lam))]) @ W)[2][: model.k].T
    return scale * W @ Q @ Q.T


def objective(A, W, model):
    G = A.T @ A
    Lam = model.dropout / (1 - model.dropout) * np.diag(G) + model.l2
    return ((A - A @ W) ** 2).sum() + (Lam[:, None] * W**2).sum()


def close(got, want, tolerance=1e-8):
    assert np.linalg.norm(got - want) <= tolerance * np.linalg.norm(want)


@pytest.mark.parametrize("data", [X, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_models_against_a_dense_svd(name, data):
    model = fresh(name, dtype="float64").fit(data)
    # The oracle of the powers is an optimizer of its own, good to about five digits.
    tolerance = 2e-4 if isinstance(model, (MFDropout, NuclearPower)) else 1e-8
    close(data @ model.weights_, data @ dense_spectral(data.toarray(), model), tolerance)
    assert model.residual_ < 1e-8
    assert model.rank_ == np.count_nonzero(model.filter_)


@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("data", [X, WIDE], ids=["tall", "wide"])
@pytest.mark.parametrize("name", ["LRDLAE", "LREDLAE 1", "LREDLAE 2", "LRDEQL"])
def test_projected_models_against_brute_force(name, data, form):
    model = fresh(name, dtype="float64", form=form, tol=1e-10).fit(data)
    want = dense_projected(data.toarray(), model)
    want[5] = want[:, 5] = 0  # nobody touched it
    close(model.weights_, want, 1e-7)


@pytest.mark.parametrize("name", ["LRR", "LRDLAE", "LREDLAE 1"])
def test_user_weights(name):
    counts = np.diff(X.indptr).astype(float)
    w = np.where(counts > 0, np.maximum(counts, 1) ** -0.5, 0)
    w *= (counts > 0).sum() / w.sum()
    model = fresh(name, dtype="float64", user_power=0.5).fit(X)
    if name == "LRR":
        want = dense_spectral(np.sqrt(w)[:, None] * X.toarray(), model)
    else:
        want = dense_projected(X.toarray(), model, w)
    want[5] = want[:, 5] = 0
    close(model.weights_, want, 1e-7)
    scaled = fresh(name, dtype="float64", user_power=0.5, popularity_power=-0.3).fit(X)
    with np.errstate(divide="ignore"):
        column = np.where(model.item_counts_ > 0, model.item_counts_**-0.3, 0)
    close(scaled.weights_, want * column, 1e-7)


def test_products_and_matrices_of_the_operators_agree():
    """The operators of the eigensolver, products against dense matrices, in every form and storage."""
    from fastlae._sparse import as_csr
    from fastlae.models.projected import Projection

    A = X.toarray()
    V = np.random.default_rng(0).normal(size=(ITEMS, 7))
    for form, storage in (("items", "full"), ("items", "packed"), ("users", "full"), ("users", "packed")):
        model = LRDLAE(k=3, l2=L2, dropout=P, form=form, storage=storage, dtype="float64", user_power=0.3)
        projection = Projection.fit(as_csr(X, dtype=np.float64), model, model._ridge)
        w = fastlae.models.linear.user_weights(as_csr(X), 0.3)
        G = A.T @ (w[:, None] * A)
        Lam = projection.ridge
        C = np.linalg.inv(G + np.diag(Lam))
        bar = np.vstack([np.sqrt(w)[:, None] * A, np.diag(np.sqrt(Lam))])
        dlae, edlae = C @ G, np.eye(ITEMS) - C / np.diag(C)
        close(projection.times(V), C @ V)
        close(projection.dlae(V), (bar @ dlae).T @ (bar @ dlae) @ V)
        close(projection.edlae(V), (bar @ edlae).T @ (bar @ edlae) @ V)
        close(projection.edlae_squared(V), edlae.T @ edlae @ V)
        for operator in (projection.dlae, projection.edlae, projection.edlae_squared):
            dense = projection.dense(operator)
            assert (dense is None) == ((form, storage) != ("items", "full"))
            if dense is not None:
                close(dense @ V, operator(V))


@pytest.mark.parametrize(("low", "full"), [("LRDLAE", "DLAE"), ("LREDLAE 1", "EDLAE"), ("LREDLAE 2", "EDLAE")])
def test_full_rank_is_the_full_rank_model(low, full):
    want = getattr(fastlae, full)(l2=L2, dropout=P, dtype="float64").fit(X).weights_
    close(fresh(low, k=ITEMS, dtype="float64").fit(X).weights_, want, 1e-7)


def test_full_rank_of_the_others():
    want = fastlae.DEQL(l2=L2, dropout=P, a=0.8, b=0.8, dtype="float64").fit(X).weights_
    close(fresh("LRDEQL", k=ITEMS, dtype="float64").fit(X).weights_, want, 1e-7)
    ridge = fastlae.LAE(l2=3.0, dtype="float64").fit(X).weights_
    close(LRR(k=ITEMS, l2=3.0, dtype="float64").fit(X).weights_, ridge, 1e-7)
    edlae = fastlae.EDLAE(l2=L2, dropout=P, dtype="float64").fit(X).weights_
    close(LowRankEDLAE(k=ITEMS, l2=L2, dropout=P, dtype="float64").fit(X).weights_, edlae, 1e-4)


def test_what_is_left_out_has_a_default():
    np.testing.assert_array_equal(LRR(k=3).fit(X).weights_, LRR(k=3, l2=100.0).fit(X).weights_)
    np.testing.assert_array_equal(VLAE(c=2.0).fit(X).weights_, VLAE(k=ITEMS, c=2.0).fit(X).weights_)
    np.testing.assert_array_equal(VLAE(k=3).fit(X).weights_, VLAE(k=3, c=100.0).fit(X).weights_)


def test_proposition_1_a_tikhonov_instance_for_every_weighted_nuclear_norm():
    weights = np.minimum(WEIGHTS, 0.9 * SIGMA[:K])
    nuclear = VLAE(weights=weights, dtype="float64").fit(X)
    lam = spectral.tikhonov_from_shrinkage(SIGMA[:K], np.sort(weights))
    close(LRR(k=K, weights=lam, dtype="float64").fit(X).weights_, nuclear.weights_)
    np.testing.assert_allclose(spectral.shrinkage_from_tikhonov(SIGMA[:K], lam), np.sort(weights))
    assert spectral.tikhonov_from_shrinkage([1.0], [2.0])[0] == np.inf  # all of it is shrunk away


def test_proposition_2_the_order_of_the_weights_does_not_matter():
    one = VLAE(weights=WEIGHTS, dtype="float64").fit(X)
    for seed in range(3):
        other = VLAE(weights=np.random.default_rng(seed).permutation(WEIGHTS), dtype="float64").fit(X)
        np.testing.assert_array_equal(one.weights_, other.weights_)


def test_dropout_is_the_square_of_the_nuclear_norm():
    keep = 0.93
    dropout = MFDropout(keep=keep, dtype="float64").fit(X)
    close(NuclearPower(l2=(1 - keep) / keep, p=2, dtype="float64").fit(X).weights_, dropout.weights_, 1e-10)
    mu, rank = spectral.dropout_threshold(SIGMA, keep)
    assert dropout.rank_ == rank
    assert SIGMA[rank - 1] > mu >= SIGMA[rank]
    whole = MFDropout(keep=1.0, dtype="float64").fit(X)  # no shrinkage: the projector on X's rows
    close(X @ whole.weights_, X.toarray(), 1e-10)
    half = RegularizedPCA(k=ITEMS, l2=2.5, dtype="float64").fit(X)
    close(NuclearPower(l2=5.0, p=1, dtype="float64").fit(X).weights_, half.weights_, 1e-10)
    assert NuclearPower(l2=1e6, p=1).fit(X).rank_ == 0


@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 3.0])
def test_power_threshold_solves_its_equation(p):
    mu = spectral.power_threshold(SIGMA, 0.3, p)
    assert mu == pytest.approx(0.15 * p * np.maximum(SIGMA - mu, 0).sum() ** (p - 1), rel=1e-9)


def test_the_path_gives_what_the_models_fit_themselves():
    path = SpectralPath(k=ITEMS).fit(X)
    np.testing.assert_allclose(path.singular_values_, SIGMA[: len(path.singular_values_)], atol=1e-8)
    for name in SPECTRAL:
        one, other = path.model(fresh(name, dtype="float64")), fresh(name, dtype="float64").fit(X)
        close(one.weights_, other.weights_, 1e-7)
    short = SpectralPath(k=4).fit(X)
    assert short.model(LRR(k=4, l2=1.0)).rank_ == 4
    with pytest.raises(ValueError, match="needs 5 singular vectors, and the path has 4"):
        short.model(LRR(k=5, l2=1.0))
    with pytest.raises(ValueError, match="needs more singular vectors than the path's 4"):
        short.model(MFDropout(keep=0.999))
    with pytest.raises(ValueError, match="user_power"):
        path.model(LRR(k=4, l2=1.0, user_power=0.5))
    with pytest.raises(TypeError, match="spectral family"):
        path.model(fastlae.EASE())
    with pytest.raises(fastlae.NotFittedError):
        SpectralPath(k=4).model(LRR(k=4, l2=1.0))


def test_more_singular_vectors_are_computed_until_the_rank_shows():
    data = interactions(users=400, items=300, seed=2)
    model = MFDropout(keep=0.9999, dtype="float64").fit(data)
    assert model.rank_ > 128
    close(data @ model.weights_, data @ dense_spectral(data.toarray(), model), 2e-3)


def test_als_falls_and_is_exact():
    A = X.toarray()
    rng = np.random.default_rng(0)
    for name, rtol in (("LowRankEDLAE, random", 1e-5), ("LowRankEDLAE", 1e-6)):
        model = fresh(name, dtype="float64", rtol=rtol, max_iterations=500).fit(X)
        values = model.objective_
        assert (np.diff(values) < 0).all()
        assert model.n_iterations_ == len(values) - 1 > 1
        assert values[-1] == pytest.approx(objective(A, model.weights_, model), rel=1e-9)
        assert abs(np.diag(model.weights_)).max() < 1e-10
        for side in ("left_", "right_"):  # no direction leads down
            for _ in range(10):
                other = copy.copy(model)
                setattr(other, side, getattr(model, side) + 1e-4 * rng.normal(size=(ITEMS, K)))
                other.diagonal_ = -np.einsum("ij,ij->i", other.left_, other.right_)
                assert objective(A, other.weights_, model) > values[-1] * (1 - 1e-6)
    started = fresh("LREDLAE 1", dtype="float64").fit(X).weights_
    off = started - np.diag(np.diag(started))
    first = fresh("LowRankEDLAE", dtype="float64").fit(X).objective_
    assert first[0] == pytest.approx(objective(A, off, model), rel=1e-9)
    assert objective(A, np.asarray(fastlae.EDLAE(l2=L2, dropout=P, dtype="float64").fit(X).weights_), model) < first[-1]


def test_the_step_for_B_solves_every_column():
    from fastlae._sparse import as_csr
    from fastlae.models.low_rank_edlae import Objective
    from fastlae.models.spectral import GramOperator

    A = np.random.default_rng(1).normal(size=(ITEMS, K))
    G = (X.T @ X).toarray()
    d = np.diag(G)
    ridge = P / (1 - P) * d + L2
    H = G + np.diag(ridge)
    solver = Objective(GramOperator(as_csr(X, dtype=np.float64), None, 1), d, ridge)
    Bt = solver.best_B(A, solver.times_H(A))
    for j in range(ITEMS):
        other = np.delete(np.arange(ITEMS), j)
        K_j = A[other].T @ H[np.ix_(other, other)] @ A[other]
        np.testing.assert_allclose(Bt[j], np.linalg.solve(K_j, A[other].T @ G[other, j]), rtol=1e-6, atol=1e-9)
    M = A @ Bt.T
    M -= np.diag(np.diag(M))
    assert solver.value(A, Bt, solver.times_H(A)) == pytest.approx(
        np.trace(G) - 2 * (G * M).sum() + (M * (H @ M)).sum(), rel=1e-10
    )
    Z = np.random.default_rng(2).normal(size=(ITEMS, K))

    def off(matrix):
        return matrix - np.diag(np.diag(matrix))

    close(solver.operator_A(Z, Bt, Bt.T @ Bt), off(H @ off(Z @ Bt.T)) @ Bt)


def test_admm_keeps_the_best_iterate_and_tells_divergence():
    with pytest.warns(ConvergenceWarning, match=r"diverged|never went below"):
        model = LowRankEDLAE(k=K, l2=L2, dropout=P, solver="admm", omega=0.5, max_iterations=60).fit(X)
    values = model.objective_[np.isfinite(model.objective_)]
    assert objective(X.toarray(), model.weights_.astype(float), model) == pytest.approx(values.min(), rel=1e-4)
    with pytest.warns(ConvergenceWarning, match="ended after 1 iterations: the last one still lowered"):
        LowRankEDLAE(k=K, l2=L2, dropout=P, max_iterations=1, rtol=1e-12).fit(X)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_serves(name, tmp_path):
    model = fitted(name)
    W = model.weights_.astype(float)
    tolerance = 1e-4 * abs(W).max() * 10
    np.testing.assert_allclose(model.score(X), X @ W, atol=tolerance)
    np.testing.assert_allclose(model.weights_block(7, 12), W[:, 7:12], atol=1e-6)
    assert model.weights_block(4, 4).shape == (ITEMS, 0)
    allowed = (X.toarray() == 0) & (np.arange(ITEMS) != 5)
    for exclude in (True, False):
        items, scores = model.recommend(X, k=6, exclude_seen=exclude)
        assert (items[3] == -1).all()  # no interactions
        assert (items != 5).all()  # nobody touched it
        for u in (0, 1, 50):
            masked = np.where(allowed[u] if exclude else np.arange(ITEMS) != 5, (X @ W)[u], -np.inf)
            np.testing.assert_allclose(scores[u], np.sort(masked)[::-1][:6], atol=tolerance)
            np.testing.assert_allclose(masked[items[u]], scores[u], atol=tolerance)
    only = model.recommend(X, k=3, items=[1, 2, 8], forbid=[2])[0]
    assert set(only.ravel()) <= {-1, 1, 8}
    _similar, values = model.similar_items([4, 7], k=5)
    np.testing.assert_allclose(values[0], np.sort(np.delete(W[4], [4, 5]))[::-1][:5], atol=tolerance)
    for item in (9, int(X[0].indices[0])):
        parts_of, parts = model.explain(X[0], item, k=ITEMS)
        assert set(parts_of) == set(X[0].indices)
        assert parts.sum() == pytest.approx((X[0] @ W)[0, item], abs=tolerance)
    path = tmp_path / "model.safetensors"
    model.save(path)
    for twin in (fastlae.load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.equals(model)
        np.testing.assert_array_equal(twin.score(X), model.score(X))
        assert twin.rank_ == model.rank_
    assert repr(model).startswith(type(model).__name__ + "(")
    one, two = (fitted(name, num_threads=t).recommend(X, k=6)[1] for t in (1, 2))
    np.testing.assert_allclose(one[one > -np.inf], two[two > -np.inf], atol=tolerance)


def test_models_speak_ids(tmp_path):
    log = fastlae.Interactions([1, 1, 2, 2, 3, 3, 4], ["tea", "milk", "tea", "milk", "nut", "tea", "nut"])
    for model in (LRR(k=2, l2=0.1), LRDLAE(k=2, l2=1.0), SpectralPath(k=2).fit(log).model(LRR(k=2, l2=0.1))):
        if not hasattr(model, "left_"):
            model.fit(log)
        assert model.recommend(users=[4], k=1)[0].tolist() == [["tea"]]
        assert model.similar_items("milk", k=1)[0].tolist() == [["tea"]]
        assert model.explain(4, "tea")[0].tolist() == ["nut"]
        model.save(tmp_path / "ids.safetensors")
        assert fastlae.load(tmp_path / "ids.safetensors").recommend(users=[4], k=1)[0].tolist() == [["tea"]]
        assert model.user_vectors(log).shape == (4, 2)


def test_the_factors_are_all_that_is_kept():
    data = interactions(users=300, items=2000, seed=3)
    model = LRR(k=10, l2=1.0).fit(data)
    assert len(pickle.dumps(model)) < 3 * 2000 * 10 * 4
    assert model.left_ is model.right_
    assert pickle.loads(pickle.dumps(model)).equals(model)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (3, 4)])
def test_nothing_to_learn_from(shape):
    empty = sp.csr_matrix(shape)
    if shape[1] == 0:
        with pytest.raises(ValueError, match="k: expected at most the number of items, 0"):
            LRR(k=1, l2=1.0).fit(empty)
        return
    for model in (LRR(k=2, l2=1.0), MFDropout(), LRDLAE(k=2, l2=1.0), LREDLAE(k=2, l2=1.0)):
        model.fit(empty)
        assert (model.score(sp.csr_matrix(np.ones((1, 4)))) == 0).all()
        assert (model.recommend(np.eye(4), k=2)[0] == -1).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LRR(k=0, l2=1.0), "k: expected at least 1"),
        (LRR(k=-3, l2=1.0), "k: expected at least 1"),
        (LRR(k=ITEMS + 1, l2=1.0), f"k: expected at most the number of items, {ITEMS}, got {ITEMS + 1}"),
        (LRR(k=2.5, l2=1.0), "k: expected an integer"),
        (LRR(k=3, l2=1.0, weights=[1, 2, 3]), "l2, weights: give one of them"),
        (LRR(k=3, l2=-1.0), "l2: expected one finite number, at least 0"),
        (LRR(k=3, weights=[1.0, 2.0]), r"weights: expected one number per factor \(3\), got shape \(2,\)"),
        (LRR(k=2, weights=[1.0, -2.0]), "weights: expected numbers of at least 0"),
        (LRR(k=2, weights=[1.0, np.nan]), "weights: expected finite"),
        (LRR(k=2, l2=1.0, tol=0), "tol: expected a number between 0 and 1"),
        (LRR(k=2, l2=1.0, dtype="int32"), "dtype"),
        (LRR(k=2, l2=1.0, user_power="a"), "user_power"),
        (RegularizedPCA(k=0), "k: expected at least 1"),
        (RegularizedPCA(k=2, l2=-1), "l2"),
        (VLAE(k=3, c=1.0, weights=[1, 2, 3]), "c, weights: give one of them"),
        (VLAE(k=2, c=-1.0), "c: expected one finite number, at least 0"),
        (VLAE(k=2, weights=[1.0]), "weights: expected one number per factor"),
        (VLAE(weights=[-1.0]), "weights: expected numbers of at least 0"),
        (VLAE(weights=np.ones(ITEMS + 1)), "k: expected at most"),
        (WLAE(weights=[2.0, 1.0]), "weights: expected non-descending"),
        (WLAE(weights=[]), "weights: expected at least one number"),
        (WLAE(weights=np.ones(ITEMS + 1)), "weights: expected at most one per item"),
        (MFDropout(keep=0.0), r"keep: expected a probability in \(0, 1\]"),
        (MFDropout(keep=1.5), "keep: expected a probability"),
        (NuclearPower(l2=1.0, p=0.5), "p: expected at least 1"),
        (NuclearPower(l2=-1.0), "l2"),
        (LRDLAE(k=0), "k: expected at least 1"),
        (LRDLAE(k=ITEMS + 1), "k: expected at most"),
        (LRDLAE(k=2, l2=[1.0, 2.0]), "l2: expected a number, or one per item"),
        (LRDLAE(k=2, l2=-1.0), "l2: expected numbers of at least 0"),
        (LRDLAE(k=2, dropout=1.0), "dropout"),
        (LRDLAE(k=2, form="both"), "form: expected"),
        (LRDLAE(k=2, storage="both"), "storage: expected"),
        (LREDLAE(k=2, method=3), "method: expected 1 or 2"),
        (LRDEQL(k=2, b=0.0), "b: expected a positive number"),
        (LowRankEDLAE(k=0), "k: expected at least 1"),
        (LowRankEDLAE(k=2, solver="sgd"), "solver: expected 'als' or 'admm'"),
        (LowRankEDLAE(k=2, init="zero"), "init: expected"),
        (LowRankEDLAE(k=2, omega=0.0), "omega: expected a positive number"),
        (LowRankEDLAE(k=2, max_iterations=0), "max_iterations: expected at least 1"),
        (SpectralPath(k=0), "k: expected at least 1"),
        (SpectralPath(k=ITEMS + 1), "k: expected at most"),
    ],
    ids=repr,
)
def test_bad_hyperparameters(model, message):
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X)


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = LRR(k=3, l2=1.0).fit(X)
    before = model.weights_
    model.set_params(k=0)
    with pytest.raises(ValueError, match="k"):
        model.fit(X)
    np.testing.assert_array_equal(model.weights_, before)
    with pytest.raises(fastlae.NotFittedError):
        LRR(k=3, l2=1.0).score(X)
    with pytest.raises(fastlae.NotPositiveDefiniteError):
        LRDLAE(k=3, l2=0.0, dropout=0.0, form="items").fit(sp.csr_matrix(np.ones((3, 4))))
    with pytest.raises(ValueError, match="models: expected names or classes among"):
        fastlae.sweep(X, X, models=["SLIM"])
