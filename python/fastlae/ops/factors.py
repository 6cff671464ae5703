"""Scores that are inner products of user and item vectors: P E^T, dense or the k best of every user."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._sparse import as_csr
from .._threads import resolve_threads
from .topk import Pair, _vector, allocate
from .weights import check_numbers


def recommend_factors(
    P: NDArray[Any],
    E: NDArray[Any],
    *,
    k: int,
    bias: Any = None,
    hidden: Any = None,
    columns: Any = None,
    num_threads: int = 0,
) -> Pair:
    """The k best items of every user by the scores P E^T + bias, which are never held as a whole.

    Parameters
    ----------
    P : ndarray or CUDA array, (users, dim)
        User vectors, float32 or float64, rows contiguous.
    E : ndarray or CUDA array, (items, dim)
        Item vectors of the same dtype, rows contiguous; on the same device, where the result is then, too.
    k : int
        At least 1. Slots that nothing fills (k larger than the candidates) hold item -1 and score -inf. NaN never wins.
    bias : array_like, (items,), optional
        Added to the scores of every user.
    hidden : sparse matrix, (users, items), optional
        Non-zero entries are never taken: what the users have seen.
    columns : array_like of bool, (items,), optional
        True: hidden from everybody.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    items : ndarray or CUDA array of int32, (users, k)
        Best first; ties go to the smaller item.
    scores : ndarray or CUDA array of float32, (users, k)

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``np.argsort(-(P @ E.T + bias), kind="stable")[:, :k]`` with hidden items at -inf.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> E = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]])
    >>> fastlae.ops.recommend_factors(np.array([[2.0, 1.0]]), E, k=2)
    (array([[0, 2]], dtype=int32), array([[2. , 1.8]], dtype=float32))
    """
    if on_cuda(P, E):
        from . import device_solvers

        found: Pair = device_solvers.recommend_factors(P, E, k=k, bias=bias, hidden=hidden, columns=columns)
        return found
    threads = resolve_threads(num_threads)
    P, E, bias = _check_factors(P, E, bias)
    n = len(E)
    if columns is not None:
        if np.asarray(columns).dtype != np.bool_:
            raise TypeError(f"columns: expected a vector of bool, got {np.asarray(columns).dtype}")
        columns = _vector(columns, "columns", n, np.uint8)
    seen = None
    if hidden is not None:
        csr = as_csr(hidden, "hidden", cols=n)
        if csr.shape[0] != len(P):
            raise ValueError(f"hidden: expected {len(P)} rows, got {csr.shape[0]}")
        seen = csr[:2]
    return recommend_factors_checked(P, E, k, bias, seen, columns, threads)


def recommend_factors_checked(
    P: NDArray[Any], E: NDArray[Any], k: int, bias: Any, seen: Any, columns: Any, num_threads: int
) -> Pair:
    """`recommend_factors` after its checks; `seen` and `columns` as `hidden_items` gives them."""
    items, best = allocate(len(P), k)
    core_for(P, E).recommend_factors(P, E, bias, seen, columns, items, best, num_threads)
    return items, best


def score_factors(
    P: NDArray[Any], E: NDArray[Any], *, bias: Any = None, out: NDArray[Any] | None = None, num_threads: int = 0
) -> NDArray[Any]:
    """Scores P E^T + bias of every item, for every user.

    Parameters
    ----------
    P : ndarray or CUDA array, (users, dim)
        User vectors, float32 or float64, rows contiguous.
    E : ndarray or CUDA array, (items, dim)
        Item vectors of the same dtype, rows contiguous; on the same device, where the result is then, too.
    bias : array_like, (items,), optional
        Added to the scores of every user.
    out : ndarray or CUDA array, (users, items), optional
        Of the same dtype, where `P` is; written instead of a new array.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    ndarray or CUDA array, (users, items)

    Notes
    -----
    Equivalent to ``P @ E.T + bias``. `recommend_factors` gives the best k of every row without holding the scores.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> fastlae.ops.score_factors(np.array([[2.0, 1.0]]), np.array([[1.0, 0.0], [0.6, 0.6]]), bias=[0.0, 1.0])
    array([[2. , 2.8]])
    """
    if on_cuda(P, E):
        from . import device_solvers

        scores: NDArray[Any] = device_solvers.score_factors(P, E, bias=bias, out=out)
        return scores
    threads = resolve_threads(num_threads)
    P, E, bias = _check_factors(P, E, bias)
    shape = (len(P), len(E))
    if out is None:
        needed = shape[0] * shape[1] * P.itemsize
        _memory.require(needed, f"scores of shape {shape}", "Score fewer users at a time, or recommend_factors().")
        out = np.empty(shape, P.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != P.dtype or out.shape != shape:
        raise ValueError(f"out: expected a NumPy array of {P.dtype} and shape {shape}")
    core_for(P, E, out).score_factors(P, E, bias, out, threads)
    return out


def _check_factors(P: Any, E: Any, bias: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    for name, array in (("P", P), ("E", E)):
        core_for(array)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name}: expected a two-dimensional NumPy array of float32 or float64")
    if P.dtype != E.dtype:
        raise TypeError(f"P, E: expected one dtype, got {P.dtype} and {E.dtype}")
    if P.shape[1] != E.shape[1]:
        raise ValueError(f"P: expected {E.shape[1]} columns, as E has, got shape {P.shape}")
    if bias is not None:
        bias = _vector(check_numbers(bias, "bias"), "bias", len(E), E.dtype)
    return P, E, bias
