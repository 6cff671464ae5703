"""Symmetric matrices in half the memory: the same numbers as in the full form."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.ops import PackedSymmetric, gram, spd_inverse
from fastlae.ops.score import quadratic_diagonal, symmetric_product, symmetric_score
from test_spd_inverse import spd

SIZES = [0, 1, 2, 95, 96, 97, 200, 481, 1000]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_there_and_back(n, dtype):
    a = spd(n, dtype=dtype)
    packed = PackedSymmetric.from_dense(a)
    assert packed.dtype == dtype
    assert packed.nbytes == PackedSymmetric.length(n, packed.tile) * a.itemsize
    np.testing.assert_array_equal(packed.to_dense(), a)
    np.testing.assert_array_equal(packed.diagonal(), a.diagonal())
    assert not np.shares_memory(packed.copy().values, packed.values)


def test_half_the_memory():
    assert PackedSymmetric.length(91_599, 480) * 4 < 17.0e9  # the full matrix takes 33.6e9
    assert PackedSymmetric.length(52_643, 480) * 4 < 5.6e9


@pytest.mark.parametrize("tile", [1, 7, 64, 100, 333])
def test_any_tile(tile):
    a = spd(100)
    np.testing.assert_array_equal(PackedSymmetric.from_dense(a, tile).to_dense(), a)
    inverse = spd_inverse(PackedSymmetric.from_dense(a, tile))
    np.testing.assert_allclose(inverse.to_dense(), np.linalg.inv(a), rtol=1e-10, atol=1e-10)


def test_scale_and_diagonal():
    a, s = spd(250), np.linspace(0.5, 2, 250)
    packed = PackedSymmetric.from_dense(a)
    packed.scale(s)
    packed.add_to_diagonal(np.arange(250))
    packed.add_to_diagonal(0.5)
    expected = a * s[:, None] * s + np.diag(np.arange(250)) + 0.5 * np.eye(250)
    np.testing.assert_array_equal(np.tril(packed.to_dense()), np.tril(expected))


@pytest.mark.parametrize("threads", [1, 3])
def test_columns(threads):
    a = spd(333)
    packed = PackedSymmetric.from_dense(a)
    for positions in ([], [0], [332, 0, 5, 5, 200], np.arange(100, 300), np.random.default_rng(0).permutation(333)):
        np.testing.assert_array_equal(packed.columns(positions, threads), a[:, np.asarray(positions, int)])
    with pytest.raises(ValueError, match="columns: out of range"):
        packed.columns([333])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_inverse_has_the_same_bits(n, dtype):
    a = spd(n, dtype=dtype)
    expected = spd_inverse(a)
    packed = PackedSymmetric.from_dense(a)
    for threads in (1, 3):
        np.testing.assert_array_equal(spd_inverse(packed, num_threads=threads).to_dense(), expected)
    np.testing.assert_array_equal(packed.to_dense(), a)
    assert spd_inverse(packed, overwrite_a=True) is packed
    np.testing.assert_array_equal(packed.to_dense(), expected)


def test_inverse_refuses():
    a = spd(150)
    a[120, 120] = -1
    with pytest.raises(fastlae.NotPositiveDefiniteError, match="row 120"):
        spd_inverse(PackedSymmetric.from_dense(a))
    a[120, 3] = np.nan
    with pytest.raises(ValueError, match="a: expected finite numbers"):
        spd_inverse(PackedSymmetric.from_dense(a))
    with pytest.raises(ValueError, match="out: not for a packed matrix"):
        spd_inverse(PackedSymmetric.from_dense(a), out=a)


def test_values_are_checked():
    with pytest.raises(TypeError, match="values: expected a NumPy array of float32 or float64"):
        PackedSymmetric(np.zeros(4, int), 2, 2)
    with pytest.raises(ValueError, match=r"values: expected shape \(4,\)"):
        PackedSymmetric(np.zeros(5), 2, 2)
    with pytest.raises(ValueError, match="n: expected at least 0"):
        PackedSymmetric(np.zeros(0), -96)
    with pytest.raises(ValueError, match="tile: expected at least 1"):
        PackedSymmetric(np.zeros(25), 10, -5)
    for wrong in (np.zeros((3, 5)), np.zeros(4)):
        with pytest.raises(ValueError, match="a: expected a square matrix"):
            PackedSymmetric.from_dense(wrong)
    with pytest.raises(TypeError, match="a: expected a NumPy array"):
        PackedSymmetric.from_dense([[1.0]])
    with pytest.raises(TypeError, match="positions: expected a vector of integers"):
        PackedSymmetric.from_dense(np.eye(3)).columns([0.9, 1.7])


def test_a_tile_larger_than_the_matrix():
    packed = PackedSymmetric(np.array([2.0, 1, 1, 2]), 2, 2**62)
    np.testing.assert_allclose(spd_inverse(packed).to_dense(), np.linalg.inv([[2.0, 1], [1, 2]]))


def test_sparsified_models_say_how_they_are_stored():
    X = fastlae.data.make_interactions(n_users=50, n_items=20, n_interactions=300, seed=3)
    assert fastlae.EASE().fit(X).sparsify(top_k=2).storage_ == "full"


def test_what_is_seen_stays_hidden_however_small_its_value():
    X = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1.0]]))
    X.data[:] = 1e-60
    forbid = sp.csr_matrix(np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]]))
    items, _ = fastlae.ops.recommend(X, np.random.default_rng(0).random((3, 3)), k=3, forbid=forbid)
    np.testing.assert_array_equal(items, [[-1, -1, -1], [0, -1, -1], [1, -1, -1]])


@pytest.mark.parametrize("valued", [False, True])
def test_gram(valued):
    X = sp.random(300, 250, 0.1, format="csr", random_state=0)
    if not valued:
        X.data[:] = 1
    weights = np.linspace(0, 2, 300)
    np.testing.assert_array_equal(gram(X, packed=True).to_dense(), gram(X))
    np.testing.assert_array_equal(
        gram(X, user_weights=weights, packed=True, dtype="float64").to_dense(),
        gram(X, user_weights=weights, dtype="float64"),
    )
    with pytest.raises(ValueError, match="out: expected a PackedSymmetric"):
        gram(X, packed=True, out=np.empty((250, 250), np.float32))


def test_products():
    M = spd(300)
    packed = PackedSymmetric.from_dense(M)
    X = fastlae._sparse.as_csr(sp.random(40, 300, 0.05, format="csr", random_state=1), dtype=np.float64)
    np.testing.assert_array_equal(quadratic_diagonal(X, packed, 2), quadratic_diagonal(X, M, 2))
    np.testing.assert_array_equal(symmetric_score(X, packed, 2), symmetric_score(X, M, 2))
    a = np.random.default_rng(2).random((20, 300))
    np.testing.assert_array_equal(symmetric_product(a, packed, 2), symmetric_product(a, M, 2))


@pytest.fixture
def small_blocks(monkeypatch):
    """Many blocks of columns even for a small matrix."""
    monkeypatch.setattr(sys.modules["fastlae.ops.score"], "_BLOCK_BYTES", 1)


def models():
    return [
        fastlae.EASE(l2=5),
        fastlae.EDLAE(l2=5, dropout=0.4, user_power=0.5, popularity_power=0.1),
        fastlae.DEQL(l2=5, dropout=0.4, b=0.3),
        fastlae.RDLAE(l2=5, dropout=0.4, xi=0.2),
        fastlae.DLAE(l2=2, dropout=np.linspace(0.1, 0.6, 150)),
    ]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("form", ["items", "users"])
@pytest.mark.parametrize("which", range(5))
def test_models(which, form, tmp_path):
    X = fastlae.data.make_interactions(n_users=200, n_items=150, n_interactions=3000, seed=3)
    new = fastlae.data.make_interactions(n_users=30, n_items=150, n_interactions=500, seed=4)
    model = models()[which]
    full = model.set_params(form=form, storage="full").fit(X)
    packed = models()[which].set_params(form=form, storage="packed").fit(X)
    assert (packed.form_, packed.storage_, full.storage_) == (form, "packed", "full")
    for rows in (X, new):
        np.testing.assert_allclose(packed.score(rows), full.score(rows), rtol=1e-4, atol=1e-6)
        for options in ({}, {"exclude_seen": False}, {"items": [3, 5, 70, 149]}, {"forbid": [0, 1]}, {"forbid": rows}):
            items, scores = packed.recommend(rows, k=12, **options)
            again, others = full.recommend(rows, k=12, **options)
            assert (items == again).mean() > 0.99  # sums in another order may swap neighbours
            np.testing.assert_allclose(scores, others, rtol=1e-4, atol=1e-6)
    if form == "items":
        np.testing.assert_array_equal(packed.weights_block(20, 100), full.weights_block(20, 100))
    packed.save(tmp_path / "m")
    again = fastlae.load(tmp_path / "m")
    assert (again.form_, again.storage_) == (form, "packed")
    np.testing.assert_array_equal(again.score(new), packed.score(new))
    np.testing.assert_array_equal(again.recommend(new, 5)[0], packed.recommend(new, 5)[0])
    np.testing.assert_array_equal(packed.similar_items([3, 4], 5)[0], full.similar_items([3, 4], 5)[0])
    np.testing.assert_allclose(packed.explain(new[0], 7)[1], full.explain(new[0], 7)[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(packed.sparsify(top_k=5).weights_.toarray(), full.sparsify(top_k=5).weights_.toarray())
    np.testing.assert_allclose(packed.weights_, full.weights_, rtol=1e-4, atol=1e-6)


def test_auto_packs_what_does_not_fit(monkeypatch):
    X = fastlae.data.make_interactions(n_users=3000, n_items=1500, n_interactions=30_000, seed=3)
    inverse = fastlae.models.inverse.ItemsInverse
    needed = {s: inverse.memory(*X.shape, X.nnz, 4, s) for s in ("full", "packed")}
    assert needed["packed"] < needed["full"]
    monkeypatch.setattr(fastlae._memory, "available_memory", lambda: needed["full"] + 1_000_000)
    assert fastlae.EASE().fit(X).storage_ == "full"
    monkeypatch.setattr(fastlae._memory, "available_memory", lambda: needed["packed"] + 1_000_000)
    model = fastlae.EASE().fit(X)
    assert (model.form_, model.storage_) == ("items", "packed")
    with pytest.raises(fastlae.MemoryNeededError, match="storage='packed' needs"):
        fastlae.EASE(form="items", storage="full").fit(X)
    monkeypatch.setattr(fastlae._memory, "available_memory", lambda: needed["packed"] // 2)
    with pytest.raises(fastlae.MemoryNeededError, match=r"by the items form, packed \(3000 users x 1500 items"):
        fastlae.EASE().fit(X)


def test_on_disk(tmp_path, monkeypatch):
    a = spd(700, dtype=np.float32)
    packed = PackedSymmetric.on_disk(700, np.float32, tmp_path)
    assert packed.tile > 480  # deeper than one product
    for begin, strip in packed.strips():
        strip[:] = a[begin : begin + len(strip), : strip.shape[1]]
    assert spd_inverse(packed, overwrite_a=True) is packed
    np.testing.assert_allclose(packed.to_dense(), np.linalg.inv(a.astype(float)), rtol=1e-3, atol=1e-3)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    assert PackedSymmetric.on_disk(0).to_dense().shape == (0, 0)

    X = fastlae.data.make_interactions(n_users=200, n_items=150, n_interactions=3000, seed=3)
    disk, full = (fastlae.EDLAE(l2=5, storage=s).fit(X) for s in ("disk", "full"))
    assert (disk.storage_, disk.form_) == ("disk", "items")
    np.testing.assert_allclose(disk.score(X), full.score(X), rtol=1e-4, atol=1e-5)
    disk.save(tmp_path / "m")
    again = fastlae.load(tmp_path / "m")
    assert again.storage_ == "packed"
    np.testing.assert_array_equal(again.score(X), disk.score(X))

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(fastlae.MemoryNeededError, match=r"on disk, and .* has 1.0 kB"):
        PackedSymmetric.on_disk(700)


def test_storage_is_checked():
    with pytest.raises(ValueError, match="storage: expected"):
        fastlae.EASE(storage="half").fit(sp.eye(3))
