"""Scores of sparse rows, dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._dense import stored_weights
from .._packed import PackedSymmetric, native
from .._sparse import Csr, as_csr
from .._threads import resolve_threads

_BLOCK_BYTES = 256e6  # of a dense part of a packed matrix


def score(X: Any, W: Any, *, out: NDArray[Any] | None = None, num_threads: int = 0) -> NDArray[Any]:
    """Scores S = X W of every target item, for every row of X.

    Parameters
    ----------
    X : sparse matrix, (users, m)
        Interactions.
    W : ndarray, (m, n)
        float32, float64, float16 or bfloat16 (an array of ``ml_dtypes.bfloat16`` or a torch tensor on the CPU), rows
        contiguous.
    out : ndarray, (users, n), optional
        Of the dtype of the result; written instead of a new array.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    ndarray, (users, n)
        float64 if `W` is, else float32.

    Notes
    -----
    Equivalent to ``X @ W``. `recommend` gives the best k of every row without holding the scores.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> fastlae.ops.score(sp.csr_matrix([[1, 0, 1]]), np.eye(3, dtype=np.float32))
    array([[1., 0., 1.]], dtype=float32)
    """
    threads = resolve_threads(num_threads)
    if on_cuda(X, W, out):
        from . import device

        scores: NDArray[Any] = device.score(X, W, out=out)
        return scores
    weights, dtype = stored_weights(W)
    csr = as_csr(X, dtype=dtype, cols=weights.shape[0])
    if out is None:
        shape = (csr.shape[0], weights.shape[1])
        needed, instead = shape[0] * shape[1] * dtype.itemsize, "Score fewer users at a time, or recommend()."
        _memory.require(needed, f"scores of shape {shape}", instead)
        out = np.empty(shape, dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != dtype or np.may_share_memory(out, weights):
        raise ValueError(f"out: expected a NumPy array of {dtype}, apart from W")
    core_for(weights, out).score(*csr[:3], weights, out, threads)
    return out


def product(a: NDArray[Any], b: NDArray[Any], num_threads: int) -> NDArray[Any]:
    """Dense a b on all threads, the same for any number of them."""
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    core_for(a, b).product(a, b, out, num_threads)
    return out


def symmetric_score(X: Csr, M: NDArray[Any] | PackedSymmetric, num_threads: int) -> NDArray[Any]:
    """X M for a symmetric M, dense (rows of X, n)."""
    if not isinstance(M, PackedSymmetric):
        return score(X, M, num_threads=num_threads)
    positions, renamed = np.unique(X.indices, return_inverse=True)
    if len(positions) * M.n * M.itemsize < _BLOCK_BYTES:  # few rows of M are needed
        needed = np.ascontiguousarray(M.columns(positions, num_threads).T)
        few = X._replace(indices=renamed.astype(np.int32), shape=(X.shape[0], len(positions)))
        return score(few, needed, num_threads=num_threads)
    out = np.empty((X.shape[0], M.n), M.dtype)
    for begin, end in column_blocks(M.n, M.itemsize):
        out[:, begin:end] = score(X, M.columns(np.arange(begin, end), num_threads), num_threads=num_threads)
    return out


def symmetric_product(a: NDArray[Any], M: NDArray[Any] | PackedSymmetric, num_threads: int) -> NDArray[Any]:
    """Dense a M for a symmetric M."""
    if not isinstance(M, PackedSymmetric):
        return product(a, M, num_threads)
    out = np.empty((len(a), M.n), M.dtype)
    for begin, end in column_blocks(M.n, M.itemsize):
        out[:, begin:end] = product(a, M.columns(np.arange(begin, end), num_threads), num_threads)
    return out


def column_blocks(n: int, itemsize: int) -> list[tuple[int, int]]:
    """Ranges of columns of which n entries each take a bounded amount of memory."""
    step = max(64, int(_BLOCK_BYTES / max(1, n * itemsize)))
    return [(begin, min(n, begin + step)) for begin in range(0, n, step)]


def quadratic_diagonal(X: Csr, M: NDArray[Any] | PackedSymmetric, num_threads: int) -> NDArray[np.float64]:
    """Diagonal of X M X^T for symmetric M."""
    out = np.empty(X.shape[0], np.float64)
    values = None if X.values is None else X.values.astype(M.dtype, copy=False)
    core_for(M).quadratic_diagonal(X.indptr, X.indices, values, *native(M), out, num_threads)
    return out
