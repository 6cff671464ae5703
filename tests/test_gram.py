"""The Gram matrix against the sum over users, in float64."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis.extra import numpy as hnp

import fastlae
from fastlae import _core
from fastlae._sparse import as_csr
from fastlae.ops import gram

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]
DTYPES = [np.bool_, np.uint8, np.int8, np.int32, np.int64, np.float32, np.float64]


def oracle(X, weights=None):
    """G = sum over users of w_u x_u x_u^T."""
    dense = (X.toarray() if sp.issparse(X) else np.asarray(X)).astype(np.float64)
    weights = np.ones(len(dense)) if weights is None else np.asarray(weights, np.float64)
    G = np.zeros((dense.shape[1],) * 2)
    for w, row in zip(weights, dense, strict=True):
        G += w * np.outer(row, row)
    return G


def interactions(users=60, items=45, density=0.15, dtype=np.float32, seed=0):
    """Counts 1 to 5; the third row and the second column are empty."""
    rng = np.random.default_rng(seed)
    X = (rng.random((users, items)) < density) * rng.integers(1, 6, (users, items))
    X[2] = 0
    X[:, 1] = 0
    return sp.csr_matrix(X.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", [*FORMATS, "csr_array", "coo_array", "dense", "list"])
def test_equals_the_sum_over_users(dtype, form):
    X = interactions(dtype=dtype)
    given_X = {
        "csr_array": lambda: sp.csr_array(X),
        "coo_array": lambda: sp.coo_array(X),
        "dense": X.toarray,
        "list": lambda: X.toarray().astype(float).tolist(),
    }.get(form, lambda: X.asformat(form))()
    G = gram(given_X)
    assert G.dtype == (np.float64 if dtype == np.float64 and form != "list" else np.float32)
    np.testing.assert_array_equal(G, oracle(X))  # whole numbers: exact


def test_counts_are_exact_and_do_not_wrap():
    X = sp.csr_matrix(np.ones((300, 3), np.uint8))
    np.testing.assert_array_equal(gram(X), np.full((3, 3), 300.0))
    X.data[:] = 200
    np.testing.assert_array_equal(gram(X), np.full((3, 3), 300.0 * 200 * 200))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_weights(dtype):
    rng = np.random.default_rng(1)
    X = interactions(dtype=dtype)
    X.data[:] = rng.standard_normal(X.nnz)
    w = rng.random(X.shape[0])
    w[5] = 0
    for weights in (None, w, w.tolist(), w.astype(np.float32)):
        G = gram(X, user_weights=weights)
        assert G.dtype == dtype
        expected = oracle(X, None if weights is None else np.asarray(weights, np.float64))
        bound = oracle(abs(X), w if weights is not None else None) + 1e-300
        # One rounding of the result; in float64 also those of products and sums.
        assert (abs(G - expected) / bound).max() < 6 * np.finfo(dtype).eps
        np.testing.assert_array_equal(G, G.T)


def test_dtype_argument_decides():
    X = interactions(dtype=np.uint8)
    assert gram(X, dtype=np.float64).dtype == np.float64
    assert gram(X.astype(np.float64), dtype="float32").dtype == np.float32
    big = sp.csr_matrix(np.array([[2**24 + 1]], np.int32))
    assert gram(big, dtype=np.float64)[0, 0] == (2**24 + 1) ** 2
    assert gram(big, out=np.empty((1, 1)))[0, 0] == (2**24 + 1) ** 2
    for wrong in (np.int32, "float16", "no dtype", object):
        with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
            gram(X, dtype=wrong)


def unsorted(kind):
    """Rows [1, 0, 3 + 4] and [0, 6, 0], unsorted, with a duplicate and a stored zero."""
    if kind == "coo":
        return sp.coo_matrix((np.array([4, 1, 3, 0, 6], np.uint8), ([0, 0, 0, 1, 1], [2, 0, 2, 0, 1])), shape=(2, 3))
    data, indices, indptr = np.array([4, 1, 3, 0, 6], np.float32), np.array([2, 0, 2, 1, 1]), np.array([0, 3, 5])
    if kind == "float64":
        data = data.astype(np.float64)
    return sp.csr_matrix((data, indices, indptr), shape=(2, 3))


@pytest.mark.parametrize("kind", ["coo", "float32", "float64"])
def test_canonical_form_is_made_elsewhere(kind):
    X = unsorted(kind)
    parts = ["row", "col", "data"] if kind == "coo" else ["indptr", "indices", "data"]
    before = [getattr(X, part).copy() for part in parts]
    for part in parts:
        getattr(X, part).flags.writeable = False
    np.testing.assert_array_equal(gram(X), oracle([[1, 0, 7], [0, 6, 0]]))
    for part, array in zip(parts, before, strict=True):
        np.testing.assert_array_equal(getattr(X, part), array)
    assert X.nnz == 5


@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
def test_duplicates_of_small_integers_do_not_wrap(form):
    data, row, col = np.full(3, 100, np.uint8), np.zeros(3, int), np.zeros(3, int)
    if form == "coo":
        X = sp.coo_matrix((data, (row, col)), shape=(1, 1))
    else:
        X = {"csr": sp.csr_matrix, "csc": sp.csc_matrix}[form]((data, col, np.array([0, 3])), shape=(1, 1))
    assert gram(X)[0, 0] == 300.0**2


def test_arrays_longer_than_their_matrix():
    X = sp.csr_matrix((np.ones(2), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))
    X.indices = np.append(X.indices, [77]).astype(np.int32)
    X.data = np.append(X.data, [np.nan])
    np.testing.assert_array_equal(gram(X), np.eye(2))


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (1, 1), (5, 3)])
def test_empty_matrices(shape):
    X = sp.csr_matrix(shape, dtype=np.float32)
    np.testing.assert_array_equal(gram(X), np.zeros((shape[1], shape[1])))
    np.testing.assert_array_equal(gram(X, user_weights=np.ones(shape[0])), np.zeros((shape[1], shape[1])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_no_bit(dtype, weighted):
    rng = np.random.default_rng(2)
    X = interactions(500, 333, 0.05, dtype)
    if weighted:
        X.data[:] = rng.standard_normal(X.nnz)
    w = rng.random(500) if weighted else None
    first = gram(X, user_weights=w, num_threads=1)
    for threads in (2, 3, 7):
        assert gram(X, user_weights=w, num_threads=threads).tobytes() == first.tobytes()


def test_out_is_written_and_returned():
    X = interactions()
    n = X.shape[1]
    for dtype in (np.float32, np.float64):
        out = np.full((n, n), np.nan, dtype)
        assert gram(X, out=out) is out
        np.testing.assert_array_equal(out, oracle(X))
    wide = np.full((n, n + 7), -1.0)
    gram(X, out=wide[:, 3 : 3 + n])
    np.testing.assert_array_equal(wide[:, 3 : 3 + n], oracle(X))
    assert (wide[:, :3] == -1).all()
    assert (wide[:, 3 + n :] == -1).all()


def unpacked(packed, n, tile):
    """The lower triangle from its tile rows, each of which ends with its diagonal tile."""
    G, at = np.full((n, n), np.nan), 0
    for begin in range(0, n, tile):
        rows, width = min(tile, n - begin), min(n, begin + tile)
        G[begin : begin + rows, :width] = packed[at : at + rows * width].reshape(rows, width)
        at += rows * width
    assert at == len(packed)
    return G


def packed_size(n, tile):
    return sum(min(tile, n - i) * min(n, i + tile) for i in range(0, n, tile))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tile", [1, 7, 16, 45, 100])
@pytest.mark.parametrize("binary", [False, True])
def test_packed_form_of_the_binding(dtype, tile, binary):
    X, n = as_csr(interactions(), dtype=dtype), 45
    if binary:
        X = X._replace(values=None)
    out = np.full(packed_size(n, min(tile, n)), np.nan, dtype)
    _core.gram(X.indptr, X.indices, X.values, None, out, 2, tile, n)
    expected = oracle(X.scipy())
    lower = np.arange(n)[:, None] // tile >= np.arange(n) // tile
    np.testing.assert_array_equal(unpacked(out, n, tile), np.where(lower, expected, np.nan))


def test_packed_form_is_checked():
    X, n = as_csr(interactions()), 45
    full, packed = np.empty((n, n), np.float32), np.empty(packed_size(n, 16), np.float32)

    def call(out, tile, items):
        _core.gram(X.indptr, X.indices, X.values, None, out, 1, tile, items)

    for out, tile, items, message in (
        (full, 16, n, "out: one dimension"),
        (packed, None, n, "tile: needed"),
        (packed, 16, None, "items: needed"),
        (packed, 0, n, "tile: expected at least 1"),
        (packed[1:], 16, n, "out: expected"),
        (packed, 17, n, "out: expected"),
        (packed, 16, n - 1, "out: expected"),
        (packed, 16, -1, "items: expected"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            call(out, tile, items)


@pytest.mark.parametrize(("users", "items"), [(300, 700), (700, 300), (40, 1500)])
def test_many_dense_items(users, items):
    X = sp.random(users, items, 0.3, "csr", np.float32, random_state=3)
    X.data[:] = 1
    np.testing.assert_array_equal(gram(X), oracle(X))
    np.testing.assert_array_equal(gram(sp.csr_matrix(np.ones((users, items)))), np.full((items, items), users))


@pytest.mark.parametrize("make", [lambda n: np.empty((n, n + 1)), lambda n: np.empty((n + 1, n + 1)),
                                  lambda n: np.empty((n - 1, n - 1)), lambda n: np.empty(n * n),
                                  lambda n: np.empty((1, n, n)), lambda n: np.empty((n, n)).T,
                                  lambda n: np.empty((n, 2 * n))[:, ::2], lambda n: np.empty((n, n))[::-1],
                                  lambda n: np.broadcast_to(np.empty(n), (n, n))])  # fmt: skip
def test_out_of_a_wrong_shape_or_stride(make):
    with pytest.raises(ValueError, match=r"^out: "):
        gram(interactions(), out=make(45))


def test_out_of_a_wrong_type():
    X, n = interactions(), 45
    for wrong in (np.empty((n, n), np.float16), np.empty((n, n), np.int32), np.empty((n, n), ">f4"), [[0.0] * n] * n):
        with pytest.raises(TypeError, match=r"^out: "):
            gram(X, out=wrong)
    with pytest.raises(ValueError, match=r"^out: expected float32"):
        gram(X, dtype=np.float32, out=np.empty((n, n)))
    out = np.empty((n, n))
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out: the array is read-only"):
        gram(X, out=out)
    misaligned = np.empty(n * n * 8 + 1, np.uint8)[1:].view(np.float64).reshape(n, n)
    with pytest.raises(ValueError, match=r"^out: the array is not aligned"):
        gram(X, out=misaligned)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(bad):
    X = interactions()
    X.data[3] = bad
    for form in ("csr", "csc", "coo"):
        with pytest.raises(ValueError, match="X: expected finite values"):
            gram(X.asformat(form))


@pytest.mark.parametrize("index", [-1, 3, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr"])
def test_indices_out_of_range(form, index):
    X = sp.csr_matrix(np.eye(3, dtype=np.float32)).asformat(form)
    (X.col if form == "coo" else X.indices)[1] = index
    with pytest.raises(ValueError, match=r"X: a (column|row) index lies outside 0 \.\. 2"):
        gram(X)


@pytest.mark.parametrize("indptr", [[0, 2, 1, 3], [1, 1, 2, 3], [0, 1, 2, 99], [0, -1, 2, 3]])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_pointers_out_of_order(form, indptr):
    X = sp.csr_matrix(np.eye(3, dtype=np.float32)).asformat(form)
    X.indptr[:] = indptr
    with pytest.raises(ValueError, match="X: the pointers"):
        gram(X)


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((2, 2, 2)), np.ones((2, 2), complex),
                                   np.array([["a", "b"]]), None, "text", sp.csr_matrix(np.eye(2) * 1j)])  # fmt: skip
def test_not_a_matrix_of_numbers(wrong):
    with pytest.raises(TypeError, match=r"^X: expected"):
        gram(wrong)


@pytest.mark.parametrize("weights", [np.ones(59), np.ones((60, 1)), 1.0, -np.ones(60), np.full(60, np.nan)])
def test_user_weights_are_checked(weights):
    with pytest.raises(ValueError, match=r"^user_weights: expected"):
        gram(interactions(), user_weights=weights)


def test_too_many_items_for_memory():
    X = sp.csr_matrix((1, 2**30), dtype=np.float32)
    with pytest.raises(fastlae.MemoryNeededError, match="a Gram matrix of 1073741824 items needs"):
        gram(X)


matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12),
    elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, -0.5, 3.25]),
)


@given(matrices)
def test_symmetric_and_positive_semidefinite(X):
    G = gram(X)
    np.testing.assert_array_equal(G, oracle(X))
    np.testing.assert_array_equal(G, G.T)
    if len(G):
        assert np.linalg.eigvalsh(G).min() >= -1e-10 * max(1.0, np.trace(G))


@given(matrices, st.integers(0, 12))
def test_additive_over_blocks_of_rows(X, cut):
    np.testing.assert_array_equal(gram(X), gram(X[:cut]) + gram(X[cut:]))


@given(matrices, st.randoms(use_true_random=False))
def test_order_of_rows_and_columns(X, random):
    rows, cols = list(range(X.shape[0])), list(range(X.shape[1]))
    random.shuffle(rows)
    random.shuffle(cols)
    np.testing.assert_array_equal(gram(X[rows][:, cols]), gram(X)[np.ix_(cols, cols)])
