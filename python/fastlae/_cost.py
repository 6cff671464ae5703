"""How long a computation will take, said before it starts.

The rate of this machine is measured once per process and kind, by a product of order 768 that takes some milliseconds.
What a stage costs in units of such a product was measured by ``python -m bench cost`` (bench/results/cost.json), and
hardly depends on the machine. The answers are estimates: other processes, a processor that slows down as it warms up,
or data of another structure easily change them by half.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._backend import core_for
from ._threads import resolve_threads

_ORDER = 768  # at 512, two threads reach two thirds of what larger products do

# Operations of the calibrating product in whose time ..., from bench/results/cost.json.
_INVERSE_CUBE = 0.98  # ... one of the n^3 operations of an inverse is done,
_INVERSE_SQUARE = 449.0  # ... and what is needed once per entry;
_GRAM_ADDITION = 37.1  # ... one addition of a Gram matrix is done,
_GRAM_CELL = 155.0  # ... one of its cells is written;
_RECOMMEND_ADDITION = 15.0  # ... one product of an interaction and a weight is added to a score,
_RECOMMEND_CELL = 0.0  # ... one score is offered to the selection.


def rate(dtype: Any = np.float32, threads: int = 0) -> float:
    """Operations per second of a matrix product of order 768, two for a multiplication and an addition.

    Parameters
    ----------
    dtype : float32 or float64
        Of the product.
    threads : int
        0 means all that the process may use.

    Returns
    -------
    float
        Measured at the first call with these arguments (a few milliseconds), remembered for the process.
    """
    return _measured_rate(np.dtype(dtype).name, resolve_threads(threads))


@functools.cache
def _measured_rate(dtype: str, threads: int) -> float:
    a = np.ones((_ORDER, _ORDER), dtype)
    out = np.empty_like(a)
    best = np.inf
    for _ in range(4):  # the first one starts the threads
        start = time.perf_counter()
        core_for(a).product(a, a, out, threads)
        best = min(best, time.perf_counter() - start)
    return 2.0 * _ORDER**3 / max(best, 1e-9)


def gram_additions(indptr: NDArray[Any]) -> float:
    """Additions that a Gram matrix needs: n_u (n_u + 1) / 2, summed over the rows u of a CSR matrix."""
    counts = np.diff(indptr).astype(np.float64)
    return float((counts * (counts + 1) / 2).sum())


def seconds_inverse(n: int, dtype: Any = np.float32, threads: int = 0) -> float:
    """Estimated seconds of `ops.spd_inverse`.

    Parameters
    ----------
    n : int
        Order of the matrix.
    dtype : float32 or float64
        Of the matrix.
    threads : int
        0 means all that the process may use.

    Returns
    -------
    float
    """
    return (_INVERSE_CUBE * float(n) ** 3 + _INVERSE_SQUARE * float(n) ** 2) / rate(dtype, threads)


def seconds_gram(additions: float, n: int, threads: int = 0) -> float:
    """Estimated seconds of `ops.gram` on 0/1 interactions.

    Parameters
    ----------
    additions : float
        See `gram_additions`.
    n : int
        Columns of the interactions, the order of the result. For the users form: users, and the additions of X^T.
    threads : int
        0 means all that the process may use.

    Returns
    -------
    float
    """
    return (_GRAM_ADDITION * additions + _GRAM_CELL * float(n) ** 2) / rate(np.float32, threads)


def seconds_recommend(nnz: int, users: int, n: int, threads: int = 0) -> float:
    """Estimated seconds of `ops.recommend` with dense weights of float32.

    Parameters
    ----------
    nnz : int
        Interactions of the users to recommend to.
    users : int
        Their number.
    n : int
        Items.
    threads : int
        0 means all that the process may use.

    Returns
    -------
    float
    """
    return (_RECOMMEND_ADDITION * nnz + _RECOMMEND_CELL * users) * float(n) / rate(np.float32, threads)


def duration(seconds: float) -> str:
    """A time in words, with two digits: an estimate has no more.

    Parameters
    ----------
    seconds : float
        Not negative.

    Returns
    -------
    str

    Examples
    --------
    >>> [duration(s) for s in (0.02, 12, 180, 9000)]
    ['under 0.1 s', '12 s', '3 min', '2.5 h']
    """
    if seconds < 0.1:
        return "under 0.1 s"
    for unit, size in (("s", 1), ("min", 60)):
        if seconds / size < 99.5:
            return f"{seconds / size:.2g} {unit}"
    hours = seconds / 3600
    return f"{hours:.2g} h" if hours < 99.5 else f"{hours:.0f} h"
