"""The Gram matrix of sparse interactions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._packed import PackedSymmetric
from .._sparse import as_csr
from .._threads import resolve_threads


def gram(
    X: Any,
    *,
    user_weights: Any = None,
    dtype: Any = None,
    out: Any = None,
    packed: bool = False,
    num_threads: int = 0,
) -> Any:
    """Gram matrix G = X^T diag(w) X as a dense array.

    0/1 interactions without weights are counted in integers, so every entry is exact (up to 2**24 users in float32).
    Everything else is summed in double precision and rounded once. The result is the same, bit for bit, for any number
    of threads.

    Parameters
    ----------
    X : sparse matrix, (users, items)
        Interactions of any format and number type. Duplicates are summed, stored zeros ignored; `X` is not changed.
    user_weights : array_like, (users,), optional
        Non-negative weight of every user; 1 by default.
    dtype : float32 or float64, optional
        Of the result. By default float64 if `X` is float64, else float32; never the integer type of `X`, in which
        counts would wrap.
    out : ndarray, (items, items), or PackedSymmetric, optional
        Written instead of a new array.
    packed : bool
        Make the lower triangle only, as a `PackedSymmetric`: half the memory, the same numbers.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (items, items), or PackedSymmetric
        Both triangles, unless packed.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    MemoryNeededError
        Before anything is allocated, if the result does not fit.

    Notes
    -----
    Equivalent to ``(X.T @ diag(w) @ X).toarray()``.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1]])
    >>> fastlae.ops.gram(X)
    array([[1., 1., 0.],
           [1., 2., 1.],
           [0., 1., 1.]], dtype=float32)
    """
    threads = resolve_threads(num_threads)
    if on_cuda(X, out):
        from . import device

        dtype = None if dtype is None else check_float(dtype)
        return device.gram(X, user_weights=user_weights, dtype=dtype, out=out, packed=packed)
    if out is not None:
        if not isinstance(out, (np.ndarray, PackedSymmetric)) or out.dtype not in (np.float32, np.float64):
            raise TypeError("out: expected a NumPy array of float32 or float64, or a PackedSymmetric")
        if packed and not isinstance(out, PackedSymmetric):
            raise ValueError("out: expected a PackedSymmetric, since packed=True")
        if dtype is not None and check_float(dtype) != out.dtype:
            raise ValueError(f"out: expected {check_float(dtype)} as dtype says, got {out.dtype}")
        dtype = out.dtype
    result = result_dtype(X, dtype)
    csr = as_csr(X, dtype=result)
    users, items = csr.shape
    weights = None
    if user_weights is not None:
        weights = np.ascontiguousarray(user_weights, dtype=np.float64)
        if weights.shape != (users,):
            raise ValueError(f"user_weights: expected shape ({users},), got {weights.shape}")
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("user_weights: expected finite, non-negative numbers")
    if packed and out is None:
        out = PackedSymmetric.empty(items, result)
    if out is None:
        _memory.require(
            items * items * result.itemsize, f"a Gram matrix of {items} items", "Fewer items need less (n squared)."
        )
        out = np.empty((items, items), result)
    elif out.shape != (items, items):
        raise ValueError(f"out: expected shape ({items}, {items}), got {out.shape}")
    if isinstance(out, PackedSymmetric):
        core_for(out.values).gram(*csr[:3], weights, out.values, threads, out.tile, items)
        return out
    core_for(out).gram(*csr[:3], weights, out, threads)
    return out


def check_float(dtype: Any) -> np.dtype[Any]:
    """`dtype` as a NumPy dtype, if it is float32 or float64."""
    try:
        result: np.dtype[Any] = np.dtype(object if dtype is None else dtype)
    except TypeError:
        result = np.dtype(object)
    if result not in (np.float32, np.float64):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return result


def result_dtype(X: Any, dtype: Any) -> np.dtype[Any]:
    """The dtype of a result for data `X`: as asked, else float64 for float64 data, else float32."""
    if dtype is not None:
        return check_float(dtype)
    return np.dtype(np.float64 if getattr(X, "dtype", None) == np.float64 else np.float32)
