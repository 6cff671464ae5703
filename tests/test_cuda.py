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
from cuda_cases import gpu_library
from fastlae import CudaError, NotPositiveDefiniteError, _backend, ops
from fastlae.ops import device

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch says that sparse_csr is new


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


@pytest.mark.parametrize("head_items", [device.NO_HEAD, device.HEAD_BY_COST, 20, 10_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_gram_with_and_without_a_head_on_tensor_cores(arrays, head_items, weighted):
    users, items = (60, 70) if arrays.name == "emulated" else (3000, 1500)
    X = interactions(users, items)
    weights = np.random.default_rng(1).random(users) if weighted else None
    want = ops.gram(X, user_weights=weights)
    got = device.gram(arrays.csr(X), user_weights=weights, dtype=np.dtype(np.float32), out=None, head_items=head_items)
    if weighted:
        np.testing.assert_allclose(arrays.get(got), want, rtol=1e-6)
    else:
        np.testing.assert_array_equal(arrays.get(got), want)


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


def test_an_inverse_is_refined_and_its_residual_told(arrays, caplog):
    a = positive_definite(60, np.float32)
    there = arrays.put(a)
    with caplog.at_level("INFO", "fastlae"):
        c = ops.spd_inverse(there, refine=True)
    assert "before the refinement" in caplog.text
    np.testing.assert_array_equal(arrays.get(there), a)
    residual = ops.inverse_residual(there, c, columns=10)
    assert residual == pytest.approx(ops.inverse_residual(a, arrays.get(c), columns=10), abs=1e-5)
    assert residual < 1e-5
    assert ops.inverse_residual(there, there) > 0.1
    with pytest.raises(ValueError, match="refine: needs `a`"):
        ops.spd_inverse(there, overwrite_a=True, refine=True)


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


@pytest.mark.parametrize("user_power", [0.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_users_form(arrays, user_power, dtype, tmp_path):
    X = interactions(40, 90, valued=dtype == "float64")
    others = interactions(12, 90, seed=3)
    options = dict(l2=5.0, dropout=0.3, user_power=user_power, dtype=dtype, form="users")
    cpu, gpu = fastlae.EDLAE(**options).fit(X), fastlae.EDLAE(**options, device="cuda").fit(X)
    assert gpu.form_ == "users"
    tolerance = dict(rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(arrays.get(gpu.weights_), cpu.weights_, **tolerance)
    for rows in (X, others):
        np.testing.assert_allclose(gpu.score(rows), cpu.score(rows), **tolerance)
        (items, scores), want = gpu.recommend(rows, k=5), cpu.recommend(rows, k=5)
        assert (items == want[0]).mean() > 0.97
        np.testing.assert_allclose(scores, want[1], **tolerance)
        np.testing.assert_array_equal(arrays.get(gpu.recommend(arrays.csr(rows), k=5)[0]), items)
    gpu.save(tmp_path / "bare.safetensors", with_users=False)
    bare = fastlae.load(tmp_path / "bare.safetensors")
    assert (bare.form_, bare.device) == ("items", "cuda")
    np.testing.assert_allclose(bare.score(others), cpu.score(others), **tolerance)
    gpu.save(tmp_path / "m.safetensors")
    loaded = fastlae.load(tmp_path / "m.safetensors")
    again = loaded.to("cuda")
    np.testing.assert_array_equal(again.recommend(X, k=5)[0], gpu.recommend(X, k=5)[0])
    np.testing.assert_allclose(again.to("cpu").score(X), loaded.score(X), **tolerance)
    assert (gpu.similar_items([1, 2], k=3)[0] == cpu.similar_items([1, 2], k=3)[0]).all()


def test_the_form_is_chosen_by_size(arrays):
    assert fastlae.EASE(l2=5.0, device="cuda").fit(interactions(20, 60)).form_ == "users"
    assert fastlae.EASE(l2=5.0, device="cuda").fit(interactions(60, 20)).form_ == "items"
    assert fastlae.EASE(l2=5.0).fit(arrays.csr(interactions(20, 60))).form_ == "users"
    with pytest.raises(ValueError, match="form='users' needs a positive l2"):
        fastlae.EASE(l2=0.0, form="users", device="cuda").fit(interactions(20, 60))


def test_sparse_weights(arrays):
    X = interactions(50, 40)
    sparse = fastlae.EASE(l2=5.0).fit(X).sparsify(top_k=6)
    there = sparse.to("cuda")
    np.testing.assert_allclose(there.score(X), sparse.score(X), rtol=1e-5, atol=1e-6)
    want = sparse.recommend(X, k=4)
    for given in (X, arrays.csr(X)):
        items, scores = there.recommend(given, k=4)
        if given is not X:
            items, scores = arrays.get(items), arrays.get(scores)
        assert (items == want[0]).mean() > 0.99
        np.testing.assert_allclose(scores, want[1], rtol=1e-5)
    np.testing.assert_array_equal(there.to("cpu").weights_.toarray(), sparse.weights_.toarray())


@pytest.mark.parametrize(("users", "items", "fold"), [(60, 30, False), (30, 60, False), (30, 60, True)])
def test_sweep(arrays, users, items, fold):
    X = interactions(users, items)
    train, validation = fastlae.data.split_weak(X, seed=0)
    options = dict(models=["EASE", "EDLAE"], ridge=[5], dropout=[0.3], user_power=[0, 0.5], k=5)
    if fold:
        options["fold_in"] = train
    want = fastlae.sweep(train, validation, **options)
    for got in (
        fastlae.sweep(train, validation, **options, device="cuda"),
        fastlae.sweep(arrays.csr(train.astype(np.float32)), validation, **options),
    ):
        assert got.inverses == want.inverses
        found = {tuple((k, v) for k, v in row.items() if k != "ndcg@5"): row["ndcg@5"] for row in got.table}
        for row in want.table:
            key = tuple((k, v) for k, v in row.items() if k != "ndcg@5")
            assert found[key] == pytest.approx(row["ndcg@5"], abs=2e-2)
        assert got.model._place is not None


def test_what_there_is_not_on_a_device(arrays):
    X = interactions(50, 30)
    with pytest.raises(ValueError, match="on CUDA devices there is full storage"):
        fastlae.EASE(device="cuda", storage="packed").fit(X)
    with pytest.raises(ValueError, match="packed: not on a CUDA device"):
        ops.gram(arrays.csr(X), packed=True)
    with pytest.raises(NotPositiveDefiniteError):
        fastlae.EASE(l2=0, device="cuda").fit(sp.csr_matrix(np.ones((3, 3), np.float32)))
    with pytest.raises(ValueError, match="form: expected"):
        fastlae.EASE(form="wide", device="cuda").fit(X)


def test_arrays_of_the_host_among_those_of_a_device_are_refused(arrays):
    a = np.eye(4, dtype=np.float32)
    with pytest.raises(TypeError, match="out: expected an array on CUDA device 0, got ndarray"):
        ops.spd_inverse(arrays.put(a), out=a)
    with pytest.raises(TypeError, match="W: expected an array on CUDA device 0"):
        ops.score(arrays.csr(interactions(3, 4)), a)
    with pytest.raises(TypeError, match="V: expected an array on CUDA device 0"):
        ops.miller_update(arrays.put(a), a, arrays.put(a), arrays.put(a))


def test_arrays_of_two_devices_are_refused(monkeypatch):
    cuda_stand_in.install(monkeypatch)
    here, there = cuda_stand_in.array(np.eye(3)), cuda_stand_in.array(np.eye(3))
    there.number = 1
    with pytest.raises(ValueError, match="got cupy on device 0 and cupy on device 1"):
        ops.spd_inverse(here, out=there)
    with pytest.raises(ValueError, match="device: the array lies on device 0, and 'cuda:1' was asked for"):
        fastlae.EASE(device="cuda:1").fit(cuda_stand_in.csr_matrix(interactions(5, 4)))


@pytest.mark.parametrize("allocations", [0, 1, 3])
def test_memory_that_others_take_meanwhile(monkeypatch, allocations):
    """What `require` has promised may be gone when it is asked for: torch's and CuPy's errors become CudaError."""
    cuda_stand_in.install(monkeypatch, allocations=allocations)
    model = fastlae.EASE(device="cuda", form="items")
    with pytest.raises(CudaError, match=r"no memory on CUDA device 0.*free arrays of other libraries"):
        model.fit(interactions(50, 30))
    assert not hasattr(model, "item_counts_")


def test_memory_is_told_before_it_is_taken(monkeypatch):
    cuda_stand_in.install(monkeypatch, free=10_000)
    with pytest.raises(
        CudaError,
        match=r"a fit of 50 users x 300 items in float32 by the users form needs .* and 10.0 kB are free.*CPU",
    ):
        fastlae.EASE(device="cuda").fit(interactions(50, 300))
    with pytest.raises(CudaError, match="the inverse of a matrix of order 60 needs"):
        ops.spd_inverse(cuda_stand_in.array(np.eye(60)))


def test_without_the_module_the_error_says_how_to_get_it(monkeypatch):
    _backend.cuda.cache_clear()
    monkeypatch.setitem(sys.modules, "fastlae._cuda", None)
    with pytest.raises(CudaError, match=r"FASTLAE_CUDA=ON, or use the CPU"):
        fastlae.EASE(device="cuda").fit(interactions(5, 4))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (35, "update the driver"),
        (100, "CUDA_VISIBLE_DEVICES"),
        (101, "no GPU of that number"),
        (209, "FASTLAE_CUDA_ARCHS=native"),
        (222, "FASTLAE_CUDA_ARCHS=native"),
    ],
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
        with pytest.raises(CudaError, match="items for each of 500 users needs"):
            ops.topk(a, k=2**30)
        with pytest.raises(TypeError, match="out: expected an array on CUDA device"):
            ops.spd_inverse(a, out=np.eye(500, dtype=np.float32))
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
@pytest.mark.parametrize("n", [500, 3000])
def test_tensor_cores_and_their_correction(n):
    gpu_library("torch")
    torch = importlib.import_module("torch")
    a = positive_definite(n, np.float32)
    there = torch.from_numpy(a).cuda()
    full = ops.inverse_residual(there, ops.spd_inverse(there))
    tensor = ops.inverse_residual(there, ops.spd_inverse(there, tensor_cores=True))
    refined = ops.inverse_residual(there, ops.spd_inverse(there, tensor_cores=True, refine=True))
    print(f"n = {n}: residuals {full:.1e} in float32, {tensor:.1e} on tensor cores, {refined:.1e} refined")
    assert tensor < 1e-4
    assert refined < max(3 * full, 2e-5)


@pytest.mark.gpu
def test_a_large_inverse_has_offsets_beyond_32_bits():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    n = 47_000  # n * n exceeds 2**31
    if torch.cuda.mem_get_info()[0] < 3 * 4 * n * n:
        pytest.skip("not enough memory on the device")
    a = torch.zeros((n, n), device="cuda")
    a.fill_diagonal_(2.0)
    a[n - 1, : n - 1] = a[: n - 1, n - 1] = 1.0 / n
    c = ops.spd_inverse(a)
    assert ops.inverse_residual(a, c) < 1e-5


@pytest.mark.gpu
def test_no_other_stream_and_no_other_device_is_waited_for():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    X = interactions(300, 200)
    W = torch.rand((200, 200), device="cuda")
    ops.recommend(X, W, k=5)  # warm
    torch.cuda.synchronize()  # so that page-locked memory can be had again
    busy, event = torch.cuda.Stream(), torch.cuda.Event()
    with torch.cuda.stream(busy):
        torch.cuda._sleep(2 * 10**9)  # a second or so
        event.record()
    ops.recommend(X, W, k=5)
    assert not event.query(), "the call waited for another stream"
    torch.cuda.synchronize()


@pytest.mark.gpu
def test_every_device_is_used_by_its_arrays():
    gpu_library("torch")
    torch = importlib.import_module("torch")
    if torch.cuda.device_count() < 2:
        pytest.skip("one device only")
    X = interactions(80, 60)
    model = fastlae.EASE(l2=5.0, device="cuda:1").fit(X)
    assert model.weights_.device.index == 1
    np.testing.assert_allclose(model.weights_.cpu().numpy(), fastlae.EASE(l2=5.0).fit(X).weights_, rtol=1e-3, atol=1e-5)
