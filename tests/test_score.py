"""`ops.score` against the dense product."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlae.ops import score


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10**6),
    users=st.integers(0, 70),
    m=st.integers(0, 40),
    n=st.one_of(st.integers(0, 40), st.sampled_from([127, 128, 129, 300])),
    dtype=st.sampled_from([np.float32, np.float64]),
    ones=st.booleans(),
)
def test_is_the_product_for_any_shape_and_thread_count(seed, users, m, n, dtype, ones):
    rng = np.random.default_rng(seed)
    X = rng.random((users, m)) * (rng.random((users, m)) < 0.3)
    X = (X > 0).astype(dtype) if ones else X.astype(dtype)
    W = rng.standard_normal((m, n)).astype(dtype)
    got = score(sp.csr_matrix(X), W, num_threads=1)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, X.astype(float) @ W.astype(float), atol=1e-4 if dtype == np.float32 else 1e-12)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(got, score(sp.csr_matrix(X), W, num_threads=threads))


@pytest.mark.parametrize("convert", [sp.csc_matrix, sp.coo_array, sp.lil_matrix, sp.dok_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_formats_and_number_types(convert, dtype):
    rng = np.random.default_rng(0)
    X = rng.random((9, 14)) < 0.4
    W = rng.standard_normal((14, 20)).astype(np.float32)
    dense = X.astype(dtype)
    if dtype == np.float16 and convert is not np.asarray:
        dense = dense.astype(np.float32)  # scipy has no half precision
    np.testing.assert_allclose(score(convert(dense), W), X @ W, atol=1e-5)


def test_rows_with_strides_and_out():
    X = sp.random(6, 5, 0.5, "csr", dtype=np.float32, random_state=0)
    wide = np.random.default_rng(0).standard_normal((5, 30)).astype(np.float32)
    out = np.full((6, 40), 7, np.float32)
    assert score(X, wide[:, 3:20], out=out[:, 2:19]) is not None
    np.testing.assert_allclose(out[:, 2:19], X @ wide[:, 3:20], atol=1e-6)
    assert (out[:, :2] == 7).all()
    assert (out[:, 19:] == 7).all()


W = np.eye(4, dtype=np.float32)
X = sp.csr_matrix(np.eye(3, 4, dtype=np.float32))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(W=W.astype(int)), TypeError, "W: expected"),
        (dict(W=W.tolist()), TypeError, "W: expected"),
        (dict(W=np.asfortranarray(np.ones((4, 3), np.float32))), ValueError, "W: rows must be contiguous"),
        (dict(X=X[:, :3]), ValueError, "X: expected 4 columns"),
        (dict(X=X * np.nan), ValueError, "X: expected finite"),
        (dict(out=np.empty((3, 4))), ValueError, "out: expected a NumPy array of float32"),
        (dict(out=np.empty((2, 4), np.float32)), ValueError, "out: expected shape"),
        (dict(out=W[:3]), ValueError, "out: .* apart from W"),
        (dict(out=[[0]]), ValueError, "out: "),
        (dict(num_threads=1.5), TypeError, "num_threads: "),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {**dict(X=X, W=W), **change}
    with pytest.raises(error, match=message):
        score(arguments.pop("X"), arguments.pop("W"), **arguments)


def broken(format, name, value):
    A = sp.coo_matrix(np.eye(3)).asformat(format).copy()
    getattr(A, name)[1] = value
    return A


@pytest.mark.parametrize(
    ("format", "name", "value"),
    [
        ("csr", "indices", 9), ("csr", "indices", -1), ("csr", "indptr", 5), ("csr", "indptr", -1),
        ("csc", "indices", 10**6), ("csc", "indices", -7), ("csc", "indptr", 99),
        ("coo", "row", 77), ("coo", "col", -2),
    ],
)  # fmt: skip
def test_indices_out_of_range_never_reach_a_kernel(format, name, value):
    with pytest.raises(ValueError, match=r"X: (a (row|column) index lies|the pointers)"):
        score(broken(format, name, value), np.eye(3))


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
def test_duplicates_are_summed_without_wrapping_and_the_input_stays(format, dtype):
    rows, cols = np.array([0] * 300 + [1, 1, 1]), np.array([2] * 300 + [1, 0, 1])
    A = sp.coo_matrix((np.ones(303, dtype), (rows, cols)), shape=(2, 3))
    if format != "coo":  # asformat would sum
        major, minor = (rows, cols) if format == "csr" else (cols, rows)
        order = np.argsort(major, kind="stable")
        indptr = np.searchsorted(major[order], np.arange((2 if format == "csr" else 3) + 1))
        A = {"csr": sp.csr_matrix, "csc": sp.csc_matrix}[format]((A.data, minor[order], indptr), shape=(2, 3))
    names = ("data", "row", "col") if format == "coo" else ("data", "indices", "indptr")
    before = [getattr(A, name).copy() for name in names]
    np.testing.assert_array_equal(score(A, np.eye(3)), [[0, 0, 300], [1, 2, 0]])
    for name, array in zip(names, before, strict=True):
        np.testing.assert_array_equal(getattr(A, name), array)


@pytest.mark.parametrize(
    ("data", "indices", "want"),
    [
        ([2, 3], [0, 2], [2, 0, 3]),
        ([1, 1], [0, 2], [1, 0, 1]),
        ([3, 2], [2, 0], [2, 0, 3]),
        ([1, 1, 1], [1, 1, 2], [0, 2, 1]),
        ([0, 2], [0, 2], [0, 0, 2]),
        ([], [], [0, 0, 0]),
        ([1], [3], "column index"),
        ([1], [-1], "column index"),
        ([1, np.inf], [0, 1], "finite"),
        ([np.nan, 1], [0, 1], "finite"),
    ],
)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_one_row_is_checked_like_many(data, indices, want, index):
    A = sp.csr_matrix((1, 3), dtype=np.float32)
    A.data, A.indices = np.array(data, np.float32), np.array(indices, index)
    A.indptr = np.array([0, len(data)], index)
    W = np.eye(3, dtype=np.float32)
    if isinstance(want, str):
        with pytest.raises(ValueError, match=want):
            score(A, W)
    else:
        np.testing.assert_array_equal(score(A, W), [want])
        np.testing.assert_array_equal(A.indices, indices)


def test_one_row_with_strides():
    A = sp.csr_matrix(np.array([[1.0, 0, 2]], np.float32))
    A.data, A.indices = np.array([1, 9, 2, 9], np.float32)[::2], np.array([0, 9, 2, 9], np.int32)[::2]
    np.testing.assert_array_equal(score(A, np.eye(3, dtype=np.float32)), [[1, 0, 2]])


def test_int64_indices_and_stored_zeros():
    A = sp.csr_matrix(
        (np.array([0.0, 2.0, 0.0]), np.array([2, 0, 1], np.int64), np.array([0, 2, 3], np.int64)), shape=(2, 3)
    )
    np.testing.assert_array_equal(score(A, np.eye(3)), [[2, 0, 0], [0, 0, 0]])
    assert A.nnz == 3


def test_dtypes_are_compared_by_value():
    W = np.eye(3, dtype=np.float32)
    twin = copy.deepcopy(W)  # its dtype is another object
    np.testing.assert_array_equal(score(np.eye(3), twin, out=pickle.loads(pickle.dumps(W)) * 0), W)
    with pytest.raises(TypeError, match="W: expected"):
        score(np.eye(3), W.astype(W.dtype.newbyteorder()))


@pytest.mark.parametrize("columns", [1, 16, 33, 300])
def test_few_columns_on_many_threads(columns):
    """Fewer packed tiles of columns than threads: rows are dealt out too, and no bit changes."""
    X = sp.random(500, 60, 0.4, "csr", random_state=0, dtype=np.float32)
    W = np.random.default_rng(0).standard_normal((60, columns)).astype(np.float32)
    one = score(X, W, num_threads=1)
    np.testing.assert_allclose(one, X @ W, atol=1e-4)
    for threads in (2, 3, 5):
        np.testing.assert_array_equal(score(X, W, num_threads=threads), one)
