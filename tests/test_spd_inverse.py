"""The inverse of a symmetric positive definite matrix."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import fastlae
from fastlae.ops import spd_inverse

SIZES = [0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 200, 481]


def spd(n, condition=100.0, dtype=np.float64, seed=0):
    """A random symmetric matrix with eigenvalues from 1 / condition to 1, evenly in the logarithm."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    a = (q * np.logspace(-np.log10(condition), 0, n)) @ q.T
    return np.ascontiguousarray(((a + a.T) / 2).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_inverts(n, dtype):
    a = spd(n, dtype=dtype)
    before = a.copy()
    c = spd_inverse(a)
    assert c.dtype == dtype
    assert c is not a
    np.testing.assert_array_equal(a, before)
    np.testing.assert_array_equal(c, c.T)
    if n:
        error = np.abs(a.astype(np.float64) @ c.astype(np.float64) - np.eye(n)).max()
        assert error < 100 * 4 * np.finfo(dtype).eps  # condition number times rounding


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("n", [30, 130, 300])
def test_condition_numbers(n, condition):
    a = spd(n, condition)
    expected = np.linalg.inv(a)
    error = np.linalg.norm(spd_inverse(a) - expected) / np.linalg.norm(expected)
    assert error < 10 * condition * np.finfo(np.float64).eps


def test_badly_scaled_items():
    scale = np.logspace(-100, 100, 60)
    a = spd(60)
    c = spd_inverse(a * np.outer(scale, scale))
    np.testing.assert_allclose(c * np.outer(scale, scale), np.linalg.inv(a), rtol=0, atol=1e-10)


def test_denormal_entries():
    a = np.eye(100)
    a[0, 1] = a[1, 0] = 5e-324
    np.testing.assert_array_equal(spd_inverse(a).diagonal(), np.ones(100))
    tiny = np.diag(np.full(50, 1e-307))  # their roots and inverses are ordinary numbers
    np.testing.assert_allclose(spd_inverse(tiny).diagonal(), np.full(50, 1e307), rtol=1e-14)


@pytest.mark.parametrize("n", [5, 60, 300])
@pytest.mark.parametrize("threads", [1, 3])
def test_not_positive_definite_names_the_row(n, threads):
    for row in (0, n // 2, n - 1):
        a = spd(n)
        a[row, row] = -1
        with pytest.raises(fastlae.NotPositiveDefiniteError, match=f"fails at row {row}") as caught:
            spd_inverse(a, num_threads=threads)
        assert caught.value.index == row
        assert isinstance(caught.value, np.linalg.LinAlgError)


def test_hilbert_matrix_fails_where_rounding_wins():
    n = np.arange(60)
    hilbert = 1.0 / (n[:, None] + n + 1)
    with pytest.raises(fastlae.NotPositiveDefiniteError) as caught:
        spd_inverse(hilbert)
    assert 8 < caught.value.index < 25
    np.testing.assert_allclose(spd_inverse(hilbert[:6, :6]), np.linalg.inv(hilbert[:6, :6]), rtol=1e-8)


def test_singular_gram_matrix():
    x = np.random.default_rng(0).integers(0, 2, (5, 20)).astype(np.float64)
    x[:, 3] = x[:, 1]
    with pytest.raises(fastlae.NotPositiveDefiniteError, match="larger l2"):
        spd_inverse(x.T @ x)
    with pytest.raises(fastlae.NotPositiveDefiniteError) as caught:
        spd_inverse(np.zeros((3, 3)))
    assert caught.value.index == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (3, 150), (150, 3), (199, 199), (0, 1)])
def test_not_finite(bad, where):
    a = spd(200)
    a[where] = bad
    with pytest.raises(ValueError, match="a: expected finite numbers"):
        spd_inverse(a)
    noisy = a + 1e-14 * np.random.default_rng(0).random((200, 200))
    with pytest.raises(ValueError, match="a: expected finite numbers"):
        spd_inverse(noisy)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_asymmetry(scale):
    a = spd(130)
    a[7, 100] += 1e-3
    with pytest.raises(ValueError, match="a: expected a symmetric matrix"):
        spd_inverse(a * scale)
    rounding = spd(130) * (1 + 1e-15 * np.random.default_rng(0).random((130, 130)))
    spd_inverse(rounding * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(dtype):
    a = spd(600, dtype=dtype)
    first = spd_inverse(a, num_threads=1)
    for threads in (2, 3, 8, 8, 8):
        assert spd_inverse(a, num_threads=threads).tobytes() == first.tobytes()


def test_where_the_result_goes():
    a = spd(101)
    expected = spd_inverse(a)
    out = np.empty_like(a)
    assert spd_inverse(a, out=out) is out
    np.testing.assert_array_equal(out, expected)
    wide = np.full((101, 110), -1.0)
    spd_inverse(a, out=wide[:, 4:105])
    np.testing.assert_array_equal(wide[:, 4:105], expected)
    assert (wide[:, :4] == -1).all()
    assert (wide[:, 105:] == -1).all()
    for source in (np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2], a.tolist()):
        np.testing.assert_array_equal(spd_inverse(source), expected)
    read_only = a.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(spd_inverse(read_only), expected)
    own = a.copy()
    assert spd_inverse(own, out=own) is own
    np.testing.assert_array_equal(own, expected)
    own = a.copy()
    assert spd_inverse(own, overwrite_a=True) is own
    np.testing.assert_array_equal(own, expected)


def test_overwrite_a_needs_an_array_to_overwrite():
    a = spd(10)
    with pytest.raises(TypeError, match="a: overwrite_a needs a NumPy array"):
        spd_inverse(a.tolist(), overwrite_a=True)
    with pytest.raises(ValueError, match="a: rows must be contiguous"):
        spd_inverse(np.asfortranarray(a), overwrite_a=True)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="a: the array is read-only"):
        spd_inverse(a, overwrite_a=True)


def test_out_is_checked():
    a = spd(10)
    for wrong in (np.empty((10, 11)), np.empty((9, 9)), np.empty(100), np.empty((10, 10), np.float32), [[0.0]]):
        with pytest.raises(ValueError, match="out: expected a NumPy array of float64"):
            spd_inverse(a, out=wrong)
    strided = (np.empty((10, 10)).T, np.empty((10, 20))[:, ::2], np.empty((10, 10))[::-1], np.empty((10, 10))[:, ::-1])
    for wrong in strided:
        with pytest.raises(ValueError, match="out: rows must be contiguous"):
            spd_inverse(a, out=wrong)
    out = np.empty((10, 10))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out: the array is read-only"):
        spd_inverse(a, out=out)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128, np.longdouble, ">f8", object])
def test_only_float32_and_float64(dtype):
    with pytest.raises(TypeError, match="a: expected float32 or float64"):
        spd_inverse(np.eye(3).astype(dtype))


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 3)])
def test_only_square_matrices(shape):
    with pytest.raises(ValueError, match="a: expected a square matrix"):
        spd_inverse(np.ones(shape))


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_inverse_of_the_inverse(n, seed, dtype):
    a = spd(n, 10.0, dtype, seed)
    back = spd_inverse(spd_inverse(a))
    assert np.abs(back - a).max() < 200 * np.finfo(dtype).eps


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.integers(-20, 20))
def test_powers_of_two_scale_exactly(n, seed, power):
    a = spd(n, 100.0, np.float64, seed)
    np.testing.assert_array_equal(spd_inverse(a * 4.0**power), spd_inverse(a) * 4.0**-power)
