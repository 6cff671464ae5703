"""Factors, alternating least squares, SLIM and ranking sums on a device, and models made of them: as on the CPU.

"emulated" is no GPU: the kernels run on the host, on arrays that stand for CuPy's (tests/cuda_stand_in.py). What is
marked `gpu` runs on a real device, and is skipped where there is none.
"""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import _arrays, evaluation, ops
from fastlae.ops.als import Term, als_rows

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch says that sparse_csr is new

CLOSE = {np.float32: dict(rtol=2e-4, atol=2e-4), np.float64: dict(rtol=1e-10, atol=1e-10)}


def interactions(users, items, seed=0, *, valued=False):
    X = sp.random(users, items, 0.15, "csr", random_state=seed, dtype=np.float32)
    X.data[:] = np.random.default_rng(seed).integers(1, 5, X.nnz) if valued else 1
    return X


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("users", [0, 3, 40])
def test_factors(arrays, dtype, users):
    P, E, bias = normal(users, 7, dtype=dtype), normal(90, 7, dtype=dtype, seed=1), normal(90, dtype=dtype, seed=2)
    P_there, E_there = arrays.put(P), arrays.put(E)
    scores = ops.score_factors(P_there, E_there, bias=bias)
    np.testing.assert_allclose(arrays.get(scores), ops.score_factors(P, E, bias=bias), **CLOSE[dtype])
    hidden, columns = interactions(users, 90, 3), np.arange(90) % 9 == 0
    hidden = sp.csr_matrix(hidden) if users else sp.csr_matrix((0, 90))
    for options in ({}, {"bias": bias, "hidden": hidden, "columns": columns}):
        items, best = ops.recommend_factors(P_there, E_there, k=11, **options)
        want = ops.recommend_factors(P, E, k=11, **options)
        np.testing.assert_array_equal(arrays.get(items), want[0])
        np.testing.assert_allclose(arrays.get(best), want[1], **CLOSE[np.float32])


def test_factors_refuse(arrays):
    P, E = arrays.put(normal(4, 3)), arrays.put(normal(9, 3))
    for call, error, message in (
        (lambda: ops.recommend_factors(P, normal(9, 3), k=2), TypeError, "E: expected a matrix on CUDA device 0"),
        (lambda: ops.recommend_factors(P, arrays.put(normal(9, 4)), k=2), ValueError, "P: expected 4 columns"),
        (lambda: ops.recommend_factors(P, arrays.put(normal(9, 3, dtype=np.float64)), k=2), TypeError, "one dtype"),
        (
            lambda: ops.recommend_factors(P, E, k=2, columns=np.zeros(9)),
            TypeError,
            "columns: expected a vector of bool",
        ),
        (lambda: ops.recommend_factors(P, E, k=2, hidden=sp.csr_matrix((3, 9))), ValueError, "hidden: expected 4 rows"),
        (lambda: ops.recommend_factors(P, E, k=0), ValueError, "k: expected at least 1"),
        (lambda: ops.score_factors(P, E, bias=np.zeros(3)), ValueError, "bias: expected shape"),
        (lambda: ops.score_factors(P, E, out=arrays.put(normal(4, 8))), ValueError, "out: expected an array"),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [0, 3])
def test_als_rows(arrays, dtype, steps):
    X, Z = interactions(25, 30, valued=True), interactions(25, 12, 1)
    F, G, prior = normal(30, 6, dtype=dtype), normal(12, 6, dtype=dtype, seed=1), normal(25, 6, dtype=dtype, seed=2)
    ridge, targets = np.linspace(1, 2, 25), normal(Z.nnz, dtype=np.float64, seed=3)
    place = _arrays.place_for("cuda")
    host = [_arrays.host_csr(m, dtype) for m in (X, Z)]
    there = [_arrays.transfer(m, place, dtype) for m in host]
    P = normal(25, 6, dtype=dtype, seed=4)
    P_there = arrays.put(P)
    shared = F.T @ F
    terms = [Term(host[0], F, 2.0), Term(host[1], G, 0.5, targets)]
    als_rows(terms, shared, ridge, P, prior=prior, steps=steps, num_threads=1)
    terms = [Term(there[0], arrays.put(F), 2.0), Term(there[1], arrays.put(G), 0.5, targets)]
    als_rows(terms, arrays.put(shared), ridge, P_there, prior=arrays.put(prior), steps=steps, num_threads=1)
    np.testing.assert_allclose(arrays.get(P_there), P, **CLOSE[dtype])


def test_als_rows_names_a_row_that_has_no_solution(arrays):
    place = _arrays.place_for("cuda")
    X = _arrays.transfer(_arrays.host_csr(sp.csr_matrix([[0, 0], [1, 0]]), np.float64), place, np.float64)
    F, P = arrays.put(np.ones((2, 3))), arrays.put(np.zeros((2, 3)))
    with pytest.raises(fastlae.NotPositiveDefiniteError, match="1"):
        als_rows([Term(X, F)], arrays.put(np.zeros((3, 3))), 0.0, P, steps=0, num_threads=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nonnegative", [True, False])
def test_slim(arrays, dtype, nonnegative, monkeypatch):
    from fastlae.ops import device_solvers

    X = interactions(200, 70, valued=True).astype(np.float64)
    G = np.ascontiguousarray((X.T @ X).toarray(), dtype)
    options = dict(l1=20.0, l2=40.0, nonnegative=nonnegative, tol=1e-5)
    want = ops.slim(G, **options)
    monkeypatch.setattr(device_solvers, "BLOCK_BYTES", 40 * 70 * 12)  # some columns at a time
    got = ops.slim(arrays.put(G), **options)
    assert got.has_sorted_indices
    np.testing.assert_allclose(got.toarray(), want.toarray(), atol=3e-4 * abs(want).max())
    warm = ops.slim(arrays.put(G), start=want, **options)
    np.testing.assert_allclose(warm.toarray(), want.toarray(), atol=3e-4 * abs(want).max())
    with pytest.warns(fastlae.ConvergenceWarning, match="did not converge in 1 sweeps"):
        ops.slim(arrays.put(G), max_sweeps=1, **options)


def test_slim_refuses(arrays):
    for G, error, message in (
        (np.ones((3, 2), np.float32), ValueError, "square"),
        (np.arange(9, dtype=np.float32).reshape(3, 3), ValueError, "symmetric"),
        (np.ones((3, 3), np.int32), TypeError, "float32 or float64"),
    ):
        with pytest.raises(error, match=message):
            ops.slim(arrays.put(G), l1=1.0, l2=1.0)


def test_the_slim_model(arrays):
    X = interactions(150, 40)
    options = dict(l1=2.0, l2=5.0, popularity_power=0.1)
    cpu, gpu = fastlae.SLIM(**options).fit(X), fastlae.SLIM(**options, device="cuda").fit(X)
    np.testing.assert_allclose(gpu.to("cpu").weights_.toarray(), cpu.weights_.toarray(), atol=1e-3)
    (items, scores), want = gpu.recommend(X, k=5), cpu.recommend(X, k=5)
    assert (items == want[0]).mean() > 0.98
    np.testing.assert_allclose(scores, want[1], atol=1e-3)
    on_device = fastlae.SLIM(**options).fit(arrays.csr(X))
    np.testing.assert_array_equal(on_device.recommend(X, k=5)[0], items)
    path = fastlae.SLIM(l2=5.0, device="cuda").fit_path(X, [4.0, 2.0])
    assert path[0].to("cpu").weights_.nnz < path[1].to("cpu").weights_.nnz


def test_ranking_sums(arrays):
    X, held_out = interactions(30, 50), interactions(30, 50, 1)
    top, _ = fastlae.EASE(l2=2.0).fit(X).recommend(X, k=20)
    there = arrays.put(top)
    for measure in (evaluation.ndcg, evaluation.recall, evaluation.mrr, evaluation.mean_average_precision):
        got, want = measure(there, held_out, 10), measure(top, held_out, 10)
        np.testing.assert_allclose(got.per_user, want.per_user, rtol=1e-14)
    assert evaluation.coverage(there, 50, 5) == evaluation.coverage(top, 50, 5)
    with pytest.raises(ValueError, match="item numbers below 7"):
        evaluation.ndcg(there, held_out[:, :7], 10)
    with pytest.raises(TypeError, match="integer type"):
        evaluation.ndcg(arrays.put(top.astype(np.float32)), held_out, 10)


MODELS = [
    fastlae.WMF(dim=6, alpha=4.0, l2=1.0, steps=2, cg_steps=8),
    fastlae.MF(dim=5, steps=3),
    fastlae.PLRec(dim=5, steps=2),
    fastlae.VLAE(k=6, c=2.0),
    fastlae.LowRankEDLAE(k=4, l2=2.0, dropout=0.3),
    fastlae.LREDLAE(k=4, l2=2.0, dropout=0.3),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_of_vectors_and_factors_move(arrays, model, tmp_path):
    X = interactions(80, 30).tolil()
    X[:, 7] = 0  # an item that nobody touched
    X[3] = 0  # a user with nothing
    X = X.tocsr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastlae.ConvergenceWarning)
        cpu = type(model)(**model.get_params()).fit(X)
    gpu = cpu.to("cuda")
    assert gpu.to("cuda") is gpu
    assert cpu.to("cpu") is cpu
    close = dict(rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(gpu.score(X), cpu.score(X), **close)
    np.testing.assert_allclose(arrays.get(gpu.score(arrays.csr(X))), cpu.score(X), **close)
    np.testing.assert_allclose(gpu.user_vectors(X), cpu.user_vectors(X), **close)
    for options in ({}, {"exclude_seen": False}, {"items": np.arange(20), "forbid": [4, 5]}):
        (items, scores), want = gpu.recommend(X, k=5, **options), cpu.recommend(X, k=5, **options)
        assert (items == want[0]).mean() > 0.98, options
        np.testing.assert_allclose(scores, want[1], **close)
        assert (items[3] == -1).all()
    there = gpu.recommend(arrays.csr(X), k=5)
    np.testing.assert_array_equal(arrays.get(there[0]), gpu.recommend(X, k=5)[0])
    assert (gpu.similar_items([1, 2], k=3)[0] == cpu.similar_items([1, 2], k=3)[0]).all()
    np.testing.assert_array_equal(gpu.explain(X[[0]], 3)[0], cpu.explain(X[[0]], 3)[0])
    gpu.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(fastlae.load(tmp_path / "m.safetensors").score(X), cpu.score(X))
    np.testing.assert_array_equal(gpu.to("cpu").score(X), cpu.score(X))
    if hasattr(cpu, "weights_block"):
        np.testing.assert_array_equal(gpu.weights_block(2, 5), cpu.weights_block(2, 5))


@pytest.mark.parametrize(
    "options", [{}, {"solver": "cholesky"}, {"implicit_slim": "init+reg", "slim_l2": 5.0}], ids=str
)
def test_wmf_is_fitted_there(arrays, options):
    X = interactions(60, 30)
    params = dict(dim=5, alpha=4.0, l2=1.0, steps=3, **options)
    cpu, gpu = fastlae.WMF(**params).fit(X), fastlae.WMF(**params, device="cuda").fit(X)
    np.testing.assert_allclose(gpu.score(X), cpu.score(X), rtol=5e-3, atol=5e-4)
    np.testing.assert_allclose(gpu.to("cpu").item_embeddings_, cpu.item_embeddings_, rtol=5e-3, atol=5e-4)
    there = fastlae.WMF(**params).fit(arrays.csr(X))
    np.testing.assert_allclose(arrays.get(there.score(arrays.csr(X))), gpu.score(X), rtol=1e-3, atol=1e-4)
    watched = fastlae.WMF(**params, device="cuda").fit(X, validation=(X, interactions(60, 30, 1)), k=5)
    assert 1 <= watched.steps_ <= 3


def test_what_a_device_has_learned_is_copied_and_pickled(arrays):
    X = interactions(60, 30)
    for model in (fastlae.SLIM(l1=1.0, device="cuda"), fastlae.WMF(dim=4, steps=1, device="cuda")):
        model.fit(X)
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(again.recommend(X, k=3)[0], model.recommend(X, k=3)[0])
            np.testing.assert_array_equal(
                again.recommend(arrays.csr(X), k=3)[0], model.recommend(arrays.csr(X), k=3)[0]
            )


def test_sparse_weights_are_of_scipy(arrays):
    model = fastlae.SLIM(l1=1.0, device="cuda").fit(interactions(60, 30))
    assert isinstance(model.weights_, sp.csr_matrix)
    np.testing.assert_array_equal(model.weights_block(3, 7), model.weights_.toarray()[:, 3:7])


def test_a_diagonal_keeps_its_digits(arrays):
    X = interactions(80, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastlae.ConvergenceWarning)
        cpu = fastlae.LowRankEDLAE(k=4, l2=2.0, dropout=0.3, dtype="float64").fit(X)
    np.testing.assert_allclose(cpu.to("cuda").score(X), cpu.score(X), rtol=1e-12, atol=1e-13)


def test_vectors_that_shared_memory_cannot_hold_are_refused(arrays):
    with pytest.raises(ValueError, match="at most 2730 dimensions on a CUDA device, got 2731"):
        fastlae.WMF(dim=2731, steps=1, device="cuda").fit(interactions(5, 4))
