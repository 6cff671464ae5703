"""Columns to codes and rows: NumPy's unique and a stable sort, for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlae._backend import core_for
from fastlae.data.ids import encode, factorize

core = core_for()


def sort(users, items, n_users, n_items, carried=(), threads=2):
    indptr, indices = np.empty(n_users + 1, np.int64), np.empty(len(users), np.int32)
    pairs = [(one, np.empty_like(one)) for one in carried]
    same = core.sort_into_rows(users, items, n_items, indptr, indices, pairs, threads)
    return indptr, indices, [to for _, to in pairs], same


@given(
    st.integers(0, 400), st.integers(1, 30), st.integers(1, 2000), st.booleans(), st.integers(1, 4), st.integers(0, 9)
)
def test_rows_are_a_stable_sort(n, n_users, n_items, in_order, threads, seed):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, n_users, n).astype(np.int32), rng.integers(0, n_items, n).astype(np.int32)
    users = np.sort(users) if in_order else users
    numbers, places = rng.random(n).astype(np.float32), np.arange(n)
    indptr, indices, (got_numbers, got_places), same = sort(users, items, n_users, n_items, (numbers, places), threads)
    order = np.lexsort((items, users))  # stable
    np.testing.assert_array_equal(got_places, order)
    np.testing.assert_array_equal(got_numbers, numbers[order])
    np.testing.assert_array_equal(indices, items[order])
    np.testing.assert_array_equal(indptr, np.searchsorted(users[order], np.arange(n_users + 1)))
    assert same == n - len(set(zip(users.tolist(), items.tolist(), strict=True)))


def test_long_rows_in_no_order():
    rng = np.random.default_rng(1)
    users = rng.integers(0, 3, 100_000).astype(np.int32)
    items = rng.integers(0, 2**31 - 1, 100_000).astype(np.int32)
    _, indices, (places,), _ = sort(users, items, 3, 2**31 - 1, (np.arange(100_000.0),))
    order = np.lexsort((items, users))
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(indices, items[order])


@given(st.lists(st.integers(-500, 500)), st.integers(-(10**15), 10**15), st.integers(1, 50))
def test_codes_are_those_of_unique(values, shift, length):
    ids = np.array(values, np.int64) + shift
    pieces = [ids[begin : begin + length] for begin in range(0, len(ids), length)]
    distinct, codes = np.unique(ids, return_inverse=True)
    for coded in (encode(pieces), factorize(ids)):
        np.testing.assert_array_equal(coded.ids, distinct)
        np.testing.assert_array_equal(coded.codes, codes)
        assert coded.codes.dtype == np.int32


def test_ids_far_apart():
    ids = np.array([2**63 - 1, -(2**63), 0, 2**63 - 1])
    assert encode([ids]) is None
    assert factorize(ids).codes.tolist() == [2, 0, 1, 2]
    assert encode([np.arange(5, dtype=np.int32)]).codes.tolist() == [0, 1, 2, 3, 4]
    assert len(encode([]).ids) == 0


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (b"\n1,2\n-3,0\n10,200\n", False),
        (b"\n1,2.5,0.5\n2,a-0,b 7\n", False),
        (b"\n1,02\n", True),
        (b"\n007,2\n", True),
        (b"\n1,+2\n", True),
        (b"\n1,-0\n", True),
        (b"\n1,0x1f\n", True),
        (b"\n1, 2\n", True),
        (b"\n1 ,2\n", True),
        (b'\n1,"02"\n', True),
        (b"\n1,2\r\n03,4\r\n", True),
    ],
)
def test_numbers_that_are_written_oddly(text, odd):
    assert core.odd_numbers(text, ",") == odd
    long = b"\n" + b"12,345\n" * 50  # where vectors are looked at, not single bytes
    assert core.odd_numbers(long[:-1] + text + long, ",") == odd


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(users=np.array([0, 9], np.int32)), ValueError, "users: expected codes in 0 .. 1, got 0 .. 9"),
        (dict(users=np.array([-1, 0], np.int32)), ValueError, "users: expected codes"),
        (dict(items=np.array([0, 3], np.int32)), ValueError, "items: expected codes in 0 .. 2"),
        (dict(users=np.array([0, 1])), TypeError, "users: expected a vector of int32"),
        (dict(items=np.zeros(3, np.int32)), ValueError, "items: expected 2 elements"),
        (dict(carried=[np.zeros(2, np.int8)]), TypeError, "carried: expected float32, float64 or int64"),
        (dict(carried=[np.zeros(3)]), ValueError, "carried: expected 2 elements"),
    ],
)
def test_bad_columns(change, error, message):
    given = {"users": np.zeros(2, np.int32), "items": np.zeros(2, np.int32), "carried": [], **change}
    with pytest.raises(error, match=message):
        sort(given["users"], given["items"], 2, 3, given["carried"])
    with pytest.raises(TypeError, match="pieces: expected a vector of int64"):
        core.encode_integers([np.zeros(2)], 10, np.empty(2, np.int32), 1)
    with pytest.raises(ValueError, match="codes: expected 2 elements"):
        core.encode_integers([np.zeros(2, np.int64)], 10, np.empty(3, np.int32), 1)
