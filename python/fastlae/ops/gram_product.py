"""The Gram matrix of sparse interactions times embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from .weights import check_numbers


def gram_product(
    E: NDArray[Any], X: Any, *, l2: Any = 0.0, out: NDArray[Any] | None = None, num_threads: int = 0
) -> NDArray[Any]:
    """Y = (X^T X + l2 I) E, without the Gram matrix and without a users x dim array.

    Parameters
    ----------
    E : ndarray, (items, dim)
        Embeddings of the items: float32 or float64, finite, rows contiguous.
    X : sparse matrix, (users, items)
        Interactions.
    l2 : float or array_like, (items,)
        Added to the diagonal of the Gram matrix.
    out : ndarray, (items, dim), optional
        Of the dtype of `E` and apart from it; written instead of a new array.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    ndarray, (items, dim)
        Of the dtype of `E`, in which it is summed.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    MemoryNeededError
        Before anything is allocated, if the result does not fit.

    Notes
    -----
    Equivalent to ``X.T @ (X @ E) + l2 * E``. Time and memory grow linearly with dim and with the interactions.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1]])
    >>> fastlae.ops.gram_product(np.eye(3, dtype=np.float32), X, l2=0.5)
    array([[1.5, 1. , 0. ],
           [1. , 2.5, 1. ],
           [0. , 1. , 1.5]], dtype=float32)
    """
    threads = resolve_threads(num_threads)
    if on_cuda(E, X, out):
        from . import device

        found: NDArray[Any] = device.gram_product(E, X, check_numbers(l2, "l2"), out=out)
        return found
    check_embeddings(E, "E")
    csr = as_csr(X, dtype=E.dtype)
    check_items(E, csr)
    ridge = check_numbers(l2, "l2")
    if ridge.ndim and ridge.shape != (len(E),):
        raise ValueError(f"l2: expected a number, or one per item ({len(E)}), got shape {ridge.shape}")
    if out is None:
        _memory.require(2 * E.nbytes, f"a product of shape {E.shape}", "Fewer columns at a time need less.")
        out = np.empty(E.shape, E.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != E.dtype or np.may_share_memory(out, E):
        raise ValueError(f"out: expected a NumPy array of {E.dtype}, apart from E")
    return gram_product_checked(E, csr, ridge, out, threads)


def gram_product_checked(
    E: NDArray[Any], X: Csr, ridge: NDArray[np.float64], out: NDArray[Any] | None, num_threads: int
) -> NDArray[Any]:
    """`gram_product` after its checks."""
    if out is None:
        out = np.empty(E.shape, E.dtype)
    diagonal = None
    if ridge.any():
        diagonal = np.ascontiguousarray(np.broadcast_to(ridge, len(E)), dtype=E.dtype)
    core_for(E, out).gram_product(*X[:3], E, diagonal, out, num_threads)
    return out


def check_embeddings(E: Any, name: str) -> None:
    """Refuse what is no finite matrix of float32 or float64."""
    if not isinstance(E, np.ndarray) or E.ndim != 2 or E.dtype not in (np.float32, np.float64):
        got = f"{E.dtype} with {E.ndim} dimension(s)" if isinstance(E, np.ndarray) else type(E).__name__
        raise TypeError(f"{name}: expected a matrix of float32 or float64, (items, dim), got {got}")
    if not np.isfinite(E).all():
        row = int(np.argmin(np.isfinite(E).all(axis=1)))
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in row {row}")


def check_items(E: NDArray[Any], X: Csr) -> None:
    """Refuse embeddings of another number of items than X has."""
    if E.shape[0] != X.shape[1]:
        hint = "; it looks transposed: pass E.T, C-contiguous" if E.shape[1] == X.shape[1] else ""
        hint = "; embeddings of users go with X.T" if E.shape[0] == X.shape[0] else hint
        raise ValueError(f"E: expected {X.shape[1]} rows, one per item of X, got shape {E.shape}{hint}")
