"""Interactions cut into parts to train on and parts to test on, by the two protocols of the literature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._backend import core_for
from .._sparse import Csr, as_csr
from .._threads import resolve_threads


@dataclass(frozen=True)
class StrongSplit:
    """Disjoint users to train, to validate and to test on; every matrix has the columns `items` of the original.

    Attributes
    ----------
    train : csr_matrix, (train users, kept items)
        All interactions of the training users.
    validation_fold_in, test_fold_in : csr_matrix, (users of the part, kept items)
        What a model is shown of the held-out users.
    validation_targets, test_targets : csr_matrix, (users of the part, kept items)
        What it should find; empty rows for users with too few items.
    items : ndarray of int64, (kept items,)
        Column of the original matrix, ascending: the items that training users touched.
    train_users, validation_users, test_users : ndarray of int64
        Row of the original matrix, ascending.
    """

    train: sp.csr_matrix[Any]
    validation_fold_in: sp.csr_matrix[Any]
    validation_targets: sp.csr_matrix[Any]
    test_fold_in: sp.csr_matrix[Any]
    test_targets: sp.csr_matrix[Any]
    items: NDArray[np.int64]
    train_users: NDArray[np.int64]
    validation_users: NDArray[np.int64]
    test_users: NDArray[np.int64]


def split_weak(
    X: Any, test_fraction: float = 0.2, seed: int | np.random.Generator = 0, *, num_threads: int = 0
) -> tuple[sp.csr_matrix[Any], sp.csr_matrix[Any]]:
    """Split for weak generalization: the same users, a random part of each user's items to test on.

    Of n_u items of user u, floor(test_fraction * n_u) go to the test part, so every user keeps one to train on, and
    users with few items have no test items.

    Parameters
    ----------
    X : sparse matrix, (users, items)
        Interactions of any format. Duplicates are summed, stored zeros dropped; `X` is not changed.
    test_fraction : float
        Between 0 and 1, both excluded.
    seed : int or numpy.random.Generator
        The same seed gives the same split.
    num_threads : int
        0 means all that the process may use. The split is the same for any number.

    Returns
    -------
    train, test : csr_matrix, (users, items)
        float32, or float64 if `X` is. They have no entry in common and add up to `X`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has enough items for a test item.

    Notes
    -----
    Equivalent to, for every row with items t, ``np.split(rng.permutation(t), [int(test_fraction * len(t))])``, the
    first part being the test items.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    >>> train, test = fastlae.data.split_weak(X, test_fraction=0.4)
    >>> test.getnnz(axis=1).tolist(), (train + test != X).nnz
    ([2, 0], 0)
    """
    threads = resolve_threads(num_threads)
    fraction = _fraction(test_fraction, "test_fraction")
    rng = np.random.default_rng(seed)
    csr = as_csr(X)
    n_test = _share(fraction, np.diff(csr.indptr))
    if not n_test.any():
        raise ValueError(
            f"X: expected a user with at least {int(np.ceil(1 / fraction - 1e-9))} items, as test_fraction={fraction} "
            f"needs; the most items of a user are {int(np.diff(csr.indptr).max(initial=0))}"
        )
    return _cut(csr, n_test, rng, _dtype(csr), threads)


def split_strong(
    X: Any,
    *,
    validation: float | int = 0.1,
    test: float | int = 0.1,
    fold_in: float = 0.8,
    min_items: int = 5,
    seed: int | np.random.Generator = 0,
    num_threads: int = 0,
) -> StrongSplit:
    """Split for strong generalization: held-out users are not trained on at all (Liang et al. 2018).

    Users are shuffled and cut into three parts. The catalogue is what the training users touched; other items are
    dropped from the rest. Of the n_u items then left to a held-out user, a random floor((1 - fold_in) * n_u) are
    targets, and the others fold in; if n_u < min_items, all fold in and there is no target.

    The literature first leaves out users with fewer than 5 items: ``X[X.getnnz(axis=1) >= 5]``.

    Parameters
    ----------
    X : sparse matrix, (users, items)
        Interactions of any format. Duplicates are summed, stored zeros dropped; `X` is not changed.
    validation, test : float or int
        Held-out users: a share of all users, between 0 and 1, both excluded (rounded to the nearest number); or how
        many, as an int.
    fold_in : float
        Share of a held-out user's items that the model is shown, between 0 and 1, both excluded.
    min_items : int
        Items of the catalogue that a held-out user needs to be given targets.
    seed : int or numpy.random.Generator
        The same seed gives the same split.
    num_threads : int
        0 means all that the process may use. The split is the same for any number.

    Returns
    -------
    StrongSplit
        Matrices are float32, or float64 if `X` is.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if there are too few users, so that a part would
        be empty, or no training user has an item.

    Notes
    -----
    Equivalent to ``train, validation, test = np.split(rng.permutation(users), ...)``, ``X[:, X[train].getnnz(0) > 0]``
    and, for every held-out row, the split of `split_weak` with ``test_fraction = 1 - fold_in``.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.data.make_interactions(n_users=100, n_items=50, n_interactions=2000)
    >>> split = fastlae.data.split_strong(X, validation=0.1, test=20)
    >>> split.train.shape[0], split.validation_targets.shape[0], split.test_targets.shape[0]
    (70, 10, 20)
    """
    threads = resolve_threads(num_threads)
    share = 1 - _fraction(fold_in, "fold_in")
    if isinstance(min_items, bool) or not hasattr(min_items, "__index__"):
        raise TypeError(f"min_items: expected an integer, got {min_items!r}")
    if min_items < 1:
        raise ValueError(f"min_items: expected at least 1, got {min_items}")
    rng = np.random.default_rng(seed)
    csr = as_csr(X)
    users = csr.shape[0]
    n_validation = _count(validation, users, "validation")
    n_test = _count(test, users, "test")
    if min(n_validation, n_test, users - n_validation - n_test) < 1:
        raise ValueError(
            f"X: too few users: {users} would be cut into {users - n_validation - n_test} to train, {n_validation} to "
            f"validate (validation={validation}) and {n_test} to test (test={test}); expected at least 1 in each part"
        )
    shuffled = rng.permutation(users)
    validation_users, test_users, train_users = (
        np.sort(part) for part in np.split(shuffled, [n_validation, n_validation + n_test])
    )
    matrix = csr.scipy(_dtype(csr))
    train = matrix[train_users]
    items = np.flatnonzero(np.bincount(train.indices, minlength=csr.shape[1])).astype(np.int64)
    if len(items) == 0:
        raise ValueError("X: none of the training users has an item")

    def held_out(rows: NDArray[np.int64]) -> tuple[sp.csr_matrix[Any], sp.csr_matrix[Any]]:
        part = as_csr(matrix[rows][:, items])
        n_items = np.diff(part.indptr)
        counts = np.where(n_items >= min_items, _share(share, n_items), 0)
        return _cut(part, counts, rng, matrix.dtype, threads)

    validation_fold_in, validation_targets = held_out(validation_users)
    test_fold_in, test_targets = held_out(test_users)
    return StrongSplit(
        train=train[:, items],
        validation_fold_in=validation_fold_in,
        validation_targets=validation_targets,
        test_fold_in=test_fold_in,
        test_targets=test_targets,
        items=items,
        train_users=train_users.astype(np.int64),
        validation_users=validation_users.astype(np.int64),
        test_users=test_users.astype(np.int64),
    )


def _dtype(csr: Csr) -> Any:
    return np.float32 if csr.values is None else csr.values.dtype


def _fraction(value: Any, name: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number between 0 and 1, got {value!r}")
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, both excluded, got {value}")
    return float(value)


def _count(value: Any, users: int, name: str) -> int:
    """Users of one part, from their share or their number."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{name}: expected a share between 0 and 1 or a number of users from 1, got {value}")
        return int(value)
    return round(_fraction(value, name) * users)


def _share(fraction: float, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(fraction * counts), where 1 - 0.8 times 5 is 1 although it falls short in floating point."""
    shares: NDArray[np.int64] = np.floor(fraction * counts + 1e-9).astype(np.int64)
    return shares


def _cut(
    csr: Csr, counts: NDArray[np.int64], rng: np.random.Generator, dtype: Any, num_threads: int
) -> tuple[sp.csr_matrix[Any], sp.csr_matrix[Any]]:
    """The rest, and `counts[u]` random entries of every row u: those with the smallest of random keys."""
    keys = rng.random(csr.nnz).view(np.uint64)  # the bits of numbers from 0 on are in the order of the numbers
    taken_indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    n_taken = int(taken_indptr[-1])
    indices = [np.empty(n, np.int32) for n in (csr.nnz - n_taken, n_taken)]
    values: list[Any] = [None if csr.values is None else np.empty(len(part), csr.values.dtype) for part in indices]
    core_for(csr.indices).split_rows(
        csr.indptr,
        csr.indices,
        csr.values,
        csr.shape[1],
        keys,
        taken_indptr,
        indices[0],
        values[0],
        indices[1],
        values[1],
        num_threads,
    )
    kept, taken = (
        Csr(*part, csr.shape).scipy(dtype)
        for part in zip((csr.indptr - taken_indptr, taken_indptr), indices, values, strict=True)
    )
    return kept, taken
