"""Ranking metrics of recommendation lists against held-out items.

Lists may lie on a CUDA device: they are counted there (`coverage` copies them), and what is counted comes to the host.
Throughout, T is the set of a user's held-out items (the targets), hit(r) is 1 if the item in slot r = 1, 2, ... of the
user's list is a target, and h(r) the number of hits in slots 1 .. r. A slot of -1 is empty and a miss. An item that a
list repeats is a hit in its first slot only; its later slots are misses. Users without targets are left out of every
mean, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import on_cuda, place_of
from .._backend import core_for
from .._sparse import Csr, as_csr
from .._threads import resolve_threads


class Metric(float):
    """The mean of a metric over users, as a number, with what it was made of.

    Attributes
    ----------
    per_user : ndarray of float64, (users,)
        The metric of every user, NaN for users without targets.
    name : str
        As in ``"recall@20"``.
    definition : str
        The formula of one user's value.

    Examples
    --------
    >>> import numpy as np
    >>> m = Metric(np.array([1.0, np.nan, 0.5]), "recall@20", "h(k) / |T|")
    >>> float(m), m.n_users, m.n_left_out
    (0.75, 2, 1)
    >>> m
    <recall@20 = 0.75, mean of 2 users, 1 left out>
    """

    per_user: NDArray[np.float64]
    name: str
    definition: str

    def __new__(cls, per_user: NDArray[np.float64], name: str, definition: str = "") -> Metric:
        """The mean of what is not NaN in `per_user`."""
        counted = per_user[~np.isnan(per_user)]
        self = super().__new__(cls, counted.mean() if len(counted) else np.nan)
        self.per_user, self.name, self.definition = per_user, name, definition
        return self

    def __getnewargs__(self) -> Any:  # so that copies and pickles keep the users
        return self.per_user, self.name, self.definition

    @property
    def n_users(self) -> int:
        """Users that count: those with targets."""
        return len(self.per_user) - self.n_left_out

    @property
    def n_left_out(self) -> int:
        """Users without targets."""
        return int(np.isnan(self.per_user).sum())

    @property
    def standard_error(self) -> float:
        """Of the mean, taking the users as independent; NaN for fewer than two."""
        if self.n_users < 2:
            return float("nan")
        return float(np.nanstd(self.per_user, ddof=1) / np.sqrt(self.n_users))

    def __repr__(self) -> str:
        return f"<{self.name} = {float(self):.6g}, mean of {self.n_users} users, {self.n_left_out} left out>"

    def __str__(self) -> str:
        return float.__repr__(self)


class RankingSums(NamedTuple):
    """What all metrics at one cut-off are made of, for every user; float64 (users,)."""

    k: int
    targets: NDArray[np.float64]
    hits: NDArray[np.float64]
    dcg: NDArray[np.float64]
    precision: NDArray[np.float64]
    reciprocal_rank: NDArray[np.float64]


class _Definition(NamedTuple):
    formula: str
    per_user: Callable[[RankingSums], NDArray[np.float64]]


def _ideal_dcg(s: RankingSums) -> NDArray[np.float64]:
    sums = np.cumsum(1.0 / np.log2(np.arange(2.0, s.k + 2)))
    return np.asarray(sums[np.clip(s.targets, 1, s.k).astype(np.intp) - 1])


# Every user here has a target: `measure` asks for no others.
DEFINITIONS = {
    "recall": _Definition("h(k) / |T|", lambda s: s.hits / s.targets),
    "truncated_recall": _Definition("h(k) / min(k, |T|)", lambda s: s.hits / np.minimum(s.k, s.targets)),
    "precision": _Definition("h(k) / k", lambda s: s.hits / s.k),
    "ndcg": _Definition(
        "sum hit(r) / log2(r + 1), r = 1 .. k, over sum 1 / log2(r + 1), r = 1 .. min(k, |T|)",
        lambda s: s.dcg / _ideal_dcg(s),
    ),
    "hit_rate": _Definition("1 if h(k) > 0, else 0", lambda s: (s.hits > 0).astype(np.float64)),
    "f1": _Definition("2 h(k) / (k + |T|)", lambda s: 2 * s.hits / (s.k + s.targets)),
    "mean_average_precision": _Definition(
        "sum hit(r) h(r) / r, r = 1 .. k, over min(k, |T|)", lambda s: s.precision / np.minimum(s.k, s.targets)
    ),
    "mrr": _Definition("1 / r of the first hit up to slot k, else 0", lambda s: s.reciprocal_rank),
}


def recall(top: Any, held_out: Any, k: int, truncated: bool = True, *, num_threads: int = 0) -> Metric:
    """Recall@k, with either of its two denominators.

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    truncated : bool
        True: h(k) / min(k, |T|), which can reach 1, as in strong generalization (users not seen in training).
        False: h(k) / |T|, as in weak generalization (LightGCN's splits, and the time-wise ones).
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equation (24) of RecVAE if truncated. Equivalent to, for a user's list t without repeats and its set of targets T,
    ``np.isin(t[:k], T).sum() / min(k, len(T))``, or ``/ len(T)``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> held_out = sp.csr_matrix([[1, 1, 1, 0], [0, 0, 0, 1]])
    >>> fastlae.evaluation.recall([[0, 3], [1, 3]], held_out, k=2)
    <recall@2 = 0.75, mean of 2 users, 0 left out>
    >>> fastlae.evaluation.recall([[0, 3], [1, 3]], held_out, k=2, truncated=False).per_user
    array([0.33333333, 1.        ])
    """
    return _one("truncated_recall" if truncated else "recall", top, held_out, k, num_threads)


def precision(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """Precision@k: h(k) / k. Empty slots count as misses.

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, for a user's list t without repeats and its set of targets T, ``np.isin(t[:k], T).sum() / k``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> held_out = sp.csr_matrix([[1, 1, 1, 0], [0, 0, 0, 1]])
    >>> fastlae.evaluation.precision([[0, 1], [3, -1]], held_out, k=2)
    <precision@2 = 0.75, mean of 2 users, 0 left out>
    """
    return _one("precision", top, held_out, k, num_threads)


def ndcg(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """Normalised discounted cumulative gain at k, with gains 0 and 1.

    Sum of hit(r) / log2(r + 1) over slots r = 1 .. k, divided by the best possible: the sum of 1 / log2(r + 1) over
    r = 1 .. min(k, |T|). (Equation (25) of RecVAE prints |T| as that limit; its code and all others take the minimum.)

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero. The size of a value does not matter.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, with ``w = 1 / np.log2(np.arange(2, k + 2))``, a user's list t without repeats and its set of
    targets T, ``w[np.isin(t[:k], T)].sum() / w[:len(T)].sum()``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.ndcg([[0, 3], [1, 3]], sp.csr_matrix([[1, 0, 0, 0], [0, 0, 0, 1]]), k=2).per_user
    array([1.        , 0.63092975])
    """
    return _one("ndcg", top, held_out, k, num_threads)


def hit_rate(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """Hit rate at k: 1 for a user with any target in the first k slots, else 0.

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, for a user's list t and its set of targets T, ``float(np.isin(t[:k], T).any())``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.hit_rate([[0, 3], [1, 2]], sp.csr_matrix([[1, 0, 0, 1], [0, 0, 0, 1]]), k=2)
    <hit_rate@2 = 0.5, mean of 2 users, 0 left out>
    """
    return _one("hit_rate", top, held_out, k, num_threads)


def f1(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """F1 at k, per user: the harmonic mean of h(k) / k and h(k) / |T|, which is 2 h(k) / (k + |T|).

    The mean is taken over the users' F1, not formed from mean precision and mean recall (the literature is silent on
    which; the two differ).

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, for a user's list t without repeats and its set of targets T,
    ``2 * np.isin(t[:k], T).sum() / (k + len(T))``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.f1([[0, 3], [1, 2]], sp.csr_matrix([[1, 0, 0, 1], [0, 1, 0, 0]]), k=2).per_user
    array([1.        , 0.66666667])
    """
    return _one("f1", top, held_out, k, num_threads)


def mean_average_precision(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """Mean average precision at k: sum of hit(r) h(r) / r over slots r = 1 .. k, over min(k, |T|).

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, with ``hit = np.isin(t[:k], T)`` for a user's list t without repeats and its set of targets T,
    ``(hit * hit.cumsum() / np.arange(1, k + 1)).sum() / min(k, len(T))``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.mean_average_precision([[0, 2, 1]], sp.csr_matrix([[1, 1, 0]]), k=3).per_user
    array([0.83333333])
    """
    return _one("mean_average_precision", top, held_out, k, num_threads)


def mrr(top: Any, held_out: Any, k: int, *, num_threads: int = 0) -> Metric:
    """Mean reciprocal rank at k: 1 / r for the first hit in slot r <= k, 0 for a user without one.

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    held_out : sparse matrix, (users, items)
        Targets: every stored value that is not zero.
    k : int
        Slots that count.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    Metric
        A float: the mean over users with targets.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target.

    Notes
    -----
    Equivalent to, with ``hit = np.isin(t[:k], T)`` for a user's list t and its set of targets T,
    ``1 / (1 + hit.argmax()) if hit.any() else 0``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.mrr([[0, 2, 1], [2, 1, 0]], sp.csr_matrix([[1, 0, 0], [1, 0, 0]]), k=2).per_user
    array([1., 0.])
    """
    return _one("mrr", top, held_out, k, num_threads)


def coverage(top: Any, n_items: int, k: int) -> float:
    """Share of the catalogue that occurs in the first k slots of any user's list.

    A plain float, not a `Metric`: it is a property of all lists together and no mean over users.

    Parameters
    ----------
    top : array_like of any integer type, (users, at least k)
        Item numbers, best first; -1 is an empty slot.
    n_items : int
        Items in the catalogue.
    k : int
        Slots that count.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``len(np.setdiff1d(top[:, :k], [-1])) / n_items``.

    Examples
    --------
    >>> import fastlae
    >>> fastlae.evaluation.coverage([[0, 3], [0, -1]], n_items=4, k=2)
    0.5
    """
    if check_count(n_items, "n_items") < 1:
        raise ValueError(f"n_items: expected at least 1, got {n_items}")
    lists = check_top(top, int(n_items))
    check_cutoff(k, lists.shape[1])
    if (place := place_of(lists)) is not None:
        lists = place.library.to_host(lists)
    recommended = np.zeros(int(n_items) + 1, np.bool_)  # the last entry takes the empty slots
    recommended[lists[:, :k]] = True
    return int(recommended[:-1].sum()) / int(n_items)


def _one(name: str, top: Any, held_out: Any, k: int, num_threads: int) -> Metric:
    [sums], counted = ranking_sums(top, held_out, [k], num_threads=num_threads)
    return measure(name, sums, counted)


def measure(name: str, sums: RankingSums, counted: NDArray[np.bool_]) -> Metric:
    """The metric `name` of DEFINITIONS, from the sums of the users that count; the others get NaN."""
    per_user = np.full(len(counted), np.nan)
    per_user[counted] = DEFINITIONS[name].per_user(sums)
    return Metric(per_user, f"{name.removeprefix('truncated_')}@{sums.k}", DEFINITIONS[name].formula)


def ranking_sums(
    top: Any, held_out: Any, cutoffs: Sequence[int], *, num_threads: int = 0
) -> tuple[list[RankingSums], NDArray[np.bool_]]:
    """Check lists and targets, and count once for all `cutoffs`.

    Returns the sums of the users with targets, one for every cut-off, and which users (users,) those are.
    """
    threads = resolve_threads(num_threads)
    targets = check_held_out(held_out)
    lists = check_top(top, targets.shape[1])
    if len(lists) != targets.shape[0]:
        raise ValueError(
            f"top: expected one row for each of the {targets.shape[0]} users of held_out, got shape {lists.shape}"
        )
    for k in cutoffs:
        check_cutoff(k, lists.shape[1])
    ascending = np.unique(np.asarray(cutoffs, np.int32))
    n_targets = np.diff(targets.indptr)
    counted = n_targets > 0
    out: Sequence[NDArray[np.float64]]
    if on_cuda(lists):
        from ..ops import device_solvers

        out = device_solvers.ranking_sums(lists, targets, ascending)
    else:
        out = [np.empty((len(lists), len(ascending))) for _ in range(4)]
        core_for(top).ranking_sums(lists, targets.indptr, targets.indices, targets.shape[1], ascending, *out, threads)
    columns = np.searchsorted(ascending, cutoffs)
    n_counted = n_targets[counted].astype(np.float64)
    return [
        RankingSums(int(k), n_counted, *(o[counted, c] for o in out)) for k, c in zip(cutoffs, columns, strict=True)
    ], counted


def check_held_out(held_out: Any, name: str = "held_out") -> Csr:
    """The targets as CSR; there must be one."""
    targets = as_csr(held_out, name, nonnegative=True)
    if targets.nnz == 0:
        raise ValueError(f"{name}: expected at least one target, got none in shape {targets.shape}")
    return targets


def check_top(top: Any, n_items: int) -> Any:
    """`top` as a C-ordered int32 matrix whose entries are items or -1; on a CUDA device it stays there."""
    place = place_of(top)
    try:
        lists = np.asarray(top) if place is None else top
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"top: expected shape (users, slots); {error}") from None
    dtype, shape = lists.dtype if place is None else place.library.dtype(lists), tuple(lists.shape)
    if dtype.kind not in "iu":
        raise TypeError(f"top: expected item numbers of an integer type, got {dtype}")
    if len(shape) != 2:
        raise ValueError(f"top: expected shape (users, slots), got {len(shape)} dimension(s), shape {shape}")
    if 0 not in shape:
        low, high = int(lists.min()), int(lists.max())  # as Python integers, before a cast could wrap them
        if low < -1:
            raise ValueError(f"top: expected item numbers, or -1 for an empty slot, got {low}")
        if high >= n_items:
            raise ValueError(f"top: expected item numbers below {n_items}, the number of items, got {high}")
    if place is None:
        return np.ascontiguousarray(lists, dtype=np.int32)
    return place.library.contiguous(place.library.astype(lists, np.int32))


def check_count(value: Any, name: str) -> int:
    """`value` as an integer."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    return int(value)


def check_cutoff(k: Any, slots: int) -> None:
    """Refuse a cut-off that the lists do not reach."""
    if check_count(k, "k") < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    if k > slots:
        raise ValueError(
            f"k: expected at most {slots}, the slots of top, got {k}; recommend with a larger k (empty slots are -1)"
        )
