"""Arrays on CUDA devices: the same results as on the CPU, by the same calls.

"emulated" is no GPU: the kernels run on the host, on arrays that stand for CuPy's (tests/cuda_stand_in.py). What is
marked `gpu` runs on a real device, with torch and with CuPy, and is skipped where there is none.
"""

from __future__ import annotations

import importlib
import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp

import cuda_stand_in
import fastlae
from fastlae import CudaError, NotPositiveDefiniteError, _arrays, _backend, ops

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch says that sparse_csr is new


class Arrays:
    """To the device and back, in the terms of one library."""

    def __init__(self, name):
        self.name = name

    def put(self, a):
        if self.name == "torch":
            return importlib.import_module("torch").from_numpy(np.array(a)).cuda()
        return importlib.import_module("cupy").array(a) if self.name == "cupy" else cuda_stand_in.array(a)

    def csr(self, X):
        X = sp.csr_matrix(X)
        if self.name == "torch":
            torch = importlib.import_module("torch")
            parts = [torch.from_numpy(np.array(part)).cuda() for part in (X.indptr, X.indices, X.data)]
            return torch.sparse_csr_tensor(*parts, size=X.shape, check_invariants=True)
        if self.name == "cupy":
            return importlib.import_module("cupyx.scipy.sparse").csr_matrix(X)
        return cuda_stand_in.csr_matrix(X)

    def get(self, a):
        if self.name == "torch":
            assert a.is_cuda
            return a.cpu().numpy()
        if self.name == "cupy":
            return importlib.import_module("cupy").asnumpy(a)
        assert isinstance(a, cuda_stand_in.ndarray)
        return cuda_stand_in.asnumpy(a)


def gpu_library(name):
    library = pytest.importorskip(name, reason=f"no GPU test with {name}: it is not installed")
    try:
        found = library.cuda.is_available() if name == "torch" else library.cuda.runtime.getDeviceCount() > 0
    except Exception:
        found = False
    if not found:
        pytest.skip("no CUDA device")


@pytest.fixture(
    params=["emulated", pytest.param("torch", marks=pytest.mark.gpu), pytest.param("cupy", marks=pytest.mark.gpu)]
)
def arrays(request, monkeypatch):
    if request.param == "emulated":
        cuda_stand_in.install(monkeypatch)
    else:
        gpu_library(request.param)
        monkeypatch.setattr(_arrays, "_LIBRARIES", (request.param,))
    return Arrays(request.param)


def interactions(users, items, seed=0, *, valued=False):
    X = sp.random(users, items, 0.15, "csr", random_state=seed, dtype=np.float32)
    X.data[:] = np.random.default_rng(seed).integers(1, 5, X.nnz) if valued else 1
    return X


def positive_definite(n, dtype, seed=0):
    a = np.random.default_rng(seed).standard_normal((n, 2 * n))
    return (a @ a.T / n + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("valued", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_gram(arrays, dtype, valued, weighted):
    X = interactions(60, 150, valued=valued)
    weights = np.random.default_rng(1).random(60) if weighted else None
    want = ops.gram(X, user_weights=weights, dtype=dtype)
    got = arrays.get(ops.gram(arrays.csr(X), user_weights=weights, dtype=dtype))
    assert got.dtype == dtype
    if valued or weighted:
        np.testing.assert_allclose(got, want, rtol=1e-6 if dtype == np.float32 else 1e-13)
    else:
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(got, got.T)


def test_gram_into_out_from_the_host(arrays):
    X = interactions(30, 40)
    out = arrays.put(np.zeros((40, 40)))
    assert ops.gram(X, out=out) is out
    np.testing.assert_array_equal(arrays.get(out), ops.gram(X, dtype=np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 33, 300])
def test_spd_inverse(arrays, dtype, n):
    a = positive_definite(n, dtype)
    there = arrays.put(a)
    got = arrays.get(ops.spd_inverse(there))
    np.testing.assert_array_equal(arrays.get(there), a)
    np.testing.assert_allclose(got @ a, np.eye(n), atol=1e-4 if dtype == np.float32 else 1e-11)
    np.testing.assert_array_equal(got, got.T)
    assert ops.spd_inverse(there, overwrite_a=True) is there
    np.testing.assert_array_equal(arrays.get(there), got)


def test_spd_inverse_names_the_row_at_which_it_fails(arrays):
    a = np.eye(100, dtype=np.float32)
    a[70, 70] = -1
    with pytest.raises(NotPositiveDefiniteError) as error:
        ops.spd_inverse(arrays.put(a))
    assert error.value.index == 70


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a[:2], ValueError, "a: expected a square matrix"),
        (lambda a: a.astype(np.int32), TypeError, "a: expected float32 or float64"),
        (lambda a: a * np.float32(np.nan), ValueError, "a: expected finite"),
        (lambda a: a + np.triu(a, 1) + np.float32(1) * np.triu(np.ones_like(a), 1), ValueError, "a: expected a symm"),
    ],
)
def test_bad_input_of_spd_inverse(arrays, change, error, message):
    with pytest.raises(error, match=message):
        ops.spd_inverse(arrays.put(change(np.eye(4, dtype=np.float32))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deql_weights(arrays, dtype):
    a = positive_definite(40, dtype)
    d = np.full(40, 3.0)
    options = dict(l2=5.0, dropout=0.3, b=0.5)
    got = ops.deql_weights(arrays.put(a), d, **options)
    np.testing.assert_allclose(
        arrays.get(got), ops.deql_weights(a, d, **options), rtol=1e-5, atol=1e-6 if dtype == np.float32 else 1e-13
    )
    there = arrays.put(a)
    assert ops.deql_weights(there, d, **options, out=there) is there
    np.testing.assert_array_equal(arrays.get(there), arrays.get(got))


def test_miller_update(arrays):
    rng = np.random.default_rng(0)
    h = np.linalg.inv(positive_definite(50, np.float64))
    h = (h + h.T) / 2
    v, e1, e2 = (rng.standard_normal((50, 50)) / 10 for _ in range(3))
    got = ops.miller_update(*(arrays.put(m) for m in (h, v, e1, e2)))
    np.testing.assert_allclose(arrays.get(got), ops.miller_update(h, v, e1, e2), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score(arrays, dtype):
    X = interactions(20, 600, valued=True)
    W = np.random.default_rng(0).standard_normal((600, 70)).astype(dtype)
    for given in (X, arrays.csr(X)):
        got = arrays.get(ops.score(given, arrays.put(W)))
        np.testing.assert_allclose(got, X @ W, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 7, 700])
def test_topk(arrays, dtype, k):
    rng = np.random.default_rng(k)
    scores = rng.integers(-9, 9, (9, 600)).astype(dtype)  # many ties
    scores[rng.random(scores.shape) < 0.1] = np.nan
    hidden, columns = sp.csr_matrix(rng.random(scores.shape) < 0.2), rng.random(600) < 0.1
    scale = rng.integers(1, 4, 600).astype(dtype)
    options = dict(k=k, columns=columns, scale=scale)
    want = ops.topk(scores, hidden=hidden, **options)
    for given in (hidden, arrays.csr(hidden.astype(np.float32))):
        got = ops.topk(arrays.put(scores), hidden=given, **options)
        np.testing.assert_array_equal(arrays.get(got[0]), want[0])
        np.testing.assert_array_equal(arrays.get(got[1]), want[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("users", [0, 3])
def test_recommend(arrays, dtype, users):
    rng = np.random.default_rng(users)
    X = interactions(users, 700, seed=users)
    W = (rng.integers(-8, 9, (700, 700)) / 4).astype(dtype)  # exact sums, many ties
    for options in ({}, dict(exclude_seen=False), dict(items=np.arange(0, 700, 2), forbid=[0, 4])):
        want = ops.recommend(X, W, k=12, **options)
        for given in (X, arrays.csr(X)):
            got = ops.recommend(given, arrays.put(W), k=12, **options)
            np.testing.assert_array_equal(arrays.get(got[0]), want[0])
            np.testing.assert_array_equal(arrays.get(got[1]), want[1])
    forbid = sp.random(users, 700, 0.2, "csr", random_state=1)
    want = ops.recommend(X, W, k=12, forbid=forbid)
    got = ops.recommend(arrays.csr(X), arrays.put(W), k=12, forbid=forbid)
    np.testing.assert_array_equal(arrays.get(got[0]), want[0])


@pytest.mark.gpu
def test_recommend_to_many(arrays):
    if arrays.name == "emulated":
        pytest.skip("takes too long emulated; tests/native/test_emulated_recommend.cpp has many users")
    X = interactions(3000, 1500)
    W = (np.random.default_rng(0).integers(-8, 9, (1500, 1500)) / 4).astype(np.float32)
    want, got = ops.recommend(X, W, k=200), ops.recommend(arrays.csr(X), arrays.put(W), k=200)
    np.testing.assert_array_equal(arrays.get(got[0]), want[0])
    np.testing.assert_array_equal(arrays.get(got[1]), want[1])


def test_sparse_matrices_are_checked(arrays):
    X = interactions(10, 20)
    for change, message in (
        (lambda A: A.indices.__setitem__(3, 20), "out of order or range"),
        (lambda A: A.data.__setitem__(0, np.inf), "expected finite"),
    ):
        bad = X.copy()
        change(bad)
        if arrays.name == "torch":  # torch itself refuses some of these
            continue
        with pytest.raises(ValueError, match=message):
            ops.gram(arrays.csr(bad))
    with pytest.raises(ValueError, match=r"X: expected 30 columns"):
        ops.recommend(arrays.csr(X), arrays.put(np.ones((30, 20), np.float32)), k=2, exclude_seen=False)


def test_cupyx_duplicates_are_summed_and_zeros_dropped(arrays):
    if arrays.name == "torch":
        pytest.skip("torch has no way to sort and sum a CSR matrix")
    X = sp.csr_matrix((np.array([1, 2, 1, 0], np.float32), np.array([3, 0, 3, 1]), np.array([0, 3, 4])), shape=(2, 5))
    before = X.indices.copy()
    got = arrays.get(ops.gram(arrays.csr(X)))
    np.testing.assert_array_equal(got, ops.gram(X))
    np.testing.assert_array_equal(X.indices, before)


MODELS = [
    fastlae.EASE(l2=5.0),
    fastlae.LAE(l2=5.0, user_power=0.5),
    fastlae.RDLAE(l2=5.0, xi=0.3),
    fastlae.DEQL(l2=5.0, popularity_power=-0.2, dtype="float64"),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_models(arrays, model, tmp_path):
    X = interactions(80, 60).tolil()
    X[:, 7] = 0  # an item that nobody touched
    X = X.tocsr()
    cpu = type(model)(**model.get_params()).fit(X)
    gpu = type(model)(**{**model.get_params(), "device": "cuda"}).fit(X)
    tolerance = dict(rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(arrays.get(gpu.weights_), cpu.weights_, **tolerance)
    np.testing.assert_allclose(gpu.item_counts_, cpu.item_counts_, rtol=1e-6)
    np.testing.assert_allclose(gpu.score(X), cpu.score(X), **tolerance)
    np.testing.assert_allclose(arrays.get(gpu.score(arrays.csr(X))), cpu.score(X), **tolerance)
    (items, scores), want = gpu.recommend(X, k=5), cpu.recommend(X, k=5)
    assert (items == want[0]).mean() > 0.99
    np.testing.assert_allclose(scores, want[1], **tolerance)
    there = gpu.recommend(arrays.csr(X), k=5)
    np.testing.assert_array_equal(arrays.get(there[0]), items)
    assert (gpu.similar_items([1, 2], k=3)[0] == cpu.similar_items([1, 2], k=3)[0]).all()
    np.testing.assert_array_equal(gpu.explain(X[[0]], 3)[0], cpu.explain(X[[0]], 3)[0])
    gpu.save(tmp_path / "m.safetensors")
    loaded = fastlae.load(tmp_path / "m.safetensors")  # on the host
    np.testing.assert_array_equal(loaded.weights_, arrays.get(gpu.weights_))
    again = loaded.to("cuda")
    np.testing.assert_array_equal(again.recommend(X, k=5)[0], items)
    np.testing.assert_array_equal(again.to("cpu").weights_, loaded.weights_)
    assert gpu.sparsify(top_k=5).recommend(X, k=3)[0].shape == (80, 3)


def test_interactions_on_the_device_are_fitted_there(arrays):
    X = interactions(50, 30)
    model = fastlae.EASE(l2=3.0).fit(arrays.csr(X))
    np.testing.assert_allclose(arrays.get(model.weights_), fastlae.EASE(l2=3.0).fit(X).weights_, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="device: 'cpu' takes arrays in host memory"):
        fastlae.EASE(l2=3.0, device="cpu").fit(arrays.csr(X))


def test_what_there_is_not_on_a_device(arrays):
    X = interactions(50, 30)
    for options in (dict(form="users"), dict(storage="packed")):
        with pytest.raises(ValueError, match="on CUDA devices there is the items form"):
            fastlae.EASE(device="cuda", **options).fit(X)
    with pytest.raises(ValueError, match="packed: not on a CUDA device"):
        ops.gram(arrays.csr(X), packed=True)
    with pytest.raises(NotPositiveDefiniteError):
        fastlae.EASE(l2=0, device="cuda").fit(sp.csr_matrix(np.ones((3, 3), np.float32)))


def test_memory_is_told_before_it_is_taken(monkeypatch):
    cuda_stand_in.install(monkeypatch, free=10_000)
    with pytest.raises(CudaError, match=r"a fit of 50 users x 300 items in float32 needs .* and 10.0 kB are free.*CPU"):
        fastlae.EASE(device="cuda").fit(interactions(50, 300))
    with pytest.raises(CudaError, match="the inverse of a matrix of order 60 needs"):
        ops.spd_inverse(cuda_stand_in.array(np.eye(60)))


def test_without_the_module_the_error_says_how_to_get_it(monkeypatch):
    _backend.cuda.cache_clear()
    monkeypatch.setitem(sys.modules, "fastlae._cuda", None)
    with pytest.raises(CudaError, match=r"FASTLAE_CUDA=ON, or use the CPU"):
        fastlae.EASE(device="cuda").fit(interactions(5, 4))


@pytest.mark.parametrize(
    ("code", "advice"), [(35, "update the driver"), (100, "CUDA_VISIBLE_DEVICES"), (209, "FASTLAE_CUDA_ARCHS=native")]
)
def test_without_a_device_the_error_says_what_to_do(monkeypatch, code, advice):
    _backend.cuda.cache_clear()
    module = types.SimpleNamespace(device_count=lambda: (0, code, "what the runtime says"))
    monkeypatch.setitem(sys.modules, "fastlae._cuda", module)
    with pytest.raises(CudaError, match=f"what the runtime says .CUDA error {code}.*{advice}"):
        fastlae.EASE(device="cuda").fit(interactions(5, 4))


@pytest.mark.gpu
def test_nothing_leaks_after_errors():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    a = torch.eye(500, device="cuda")
    a[400, 400] = -1

    def free():
        torch.cuda.synchronize()
        return torch.cuda.mem_get_info()[0]

    for turn in range(1000):
        with pytest.raises(NotPositiveDefiniteError):
            ops.spd_inverse(a)
        if turn == 50:
            before = free()
    assert free() >= before - 2**20


@pytest.mark.gpu
def test_the_current_stream_is_used():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    X = interactions(200, 100)
    want = ops.gram(X)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        out = torch.empty((100, 100), device="cuda")
        torch.cuda._sleep(10**8)  # cycles: what is queued behind must wait for it
        out.fill_(7)
        ops.gram(X, out=out)
    stream.synchronize()
    np.testing.assert_array_equal(out.cpu().numpy(), want)


@pytest.mark.gpu
def test_tensor_cores_keep_float32s_precision():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    a = positive_definite(2000, np.float32)
    exact = np.linalg.inv(a.astype(np.float64))
    errors = [
        np.abs(ops.spd_inverse(torch.from_numpy(a).cuda(), tensor_cores=on).cpu().numpy() - exact).max()
        for on in (False, True)
    ]
    assert errors[1] < 20 * errors[0] + 1e-6
