"""SLIM: a sparse elastic-net regression of every item on the others."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._arrays import on_cuda
from .._backend import core_for
from .._sparse import is_sparse
from .._threads import resolve_threads
from ..errors import ConvergenceWarning
from .spd_inverse import SYMMETRY
from .topk import check_count
from .weights import check_number


def slim(
    gram: NDArray[Any],
    *,
    l1: float,
    l2: float,
    nonnegative: bool = True,
    start: Any = None,
    tol: float = 1e-4,
    max_sweeps: int = 1000,
    num_threads: int = 0,
) -> Any:
    """SLIM's weights by coordinate descent on the Gram matrix: ½‖X - XW‖² + (l2/2)‖W‖² + l1‖W‖₁, diag W = 0.

    Parameters
    ----------
    gram : ndarray or CUDA array, (items, items)
        G = X^T X, symmetric, float32 or float64. Of one on a device, whose rows must be contiguous, the columns are
        made there.
    l1 : float
        Strength of the L1 penalty, on the scale of G; at least 0. Larger ones make W sparser and the call faster.
    l2 : float
        Strength of the L2 penalty; at least 0.
    nonnegative : bool
        W >= 0, as in the paper.
    start : sparse matrix, (items, items), optional
        Weights to begin with, such as those of a larger l1.
    tol : float
        A column is done when every optimality condition holds within this share of its largest G_ij, i != j.
    max_sweeps : int
        Per column.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    scipy.sparse.csc_matrix, (items, items)
        W[i, j] carries input item i to target item j.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Warns
    -----
    ConvergenceWarning
        With the number of columns that did not converge, and the largest miss.

    Notes
    -----
    Column j is equivalent to scikit-learn's ``ElasticNet(alpha, l1_ratio, positive=True, fit_intercept=False)`` of
    column j of X on X with column j set to zero, ``alpha * l1_ratio = l1 / users`` and
    ``alpha * (1 - l1_ratio) = l2 / users``. Needs only G. The method is that of Ning and Karypis 2011.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> G = np.array([[4.0, 2.0, 0.0], [2.0, 4.0, 1.0], [0.0, 1.0, 3.0]])
    >>> fastlae.ops.slim(G, l1=1.0, l2=0.0).toarray()
    array([[0.  , 0.25, 0.  ],
           [0.25, 0.  , 0.  ],
           [0.  , 0.  , 0.  ]])
    """
    there = on_cuda(gram)
    if there:
        from . import device_solvers

        n, dtype = int(gram.shape[0]), device_solvers.check_gram(gram)
    else:
        gram = _check_gram(gram, resolve_threads(num_threads))
        n, dtype = len(gram), gram.dtype
    l1, l2 = check_number(l1, "l1", 0), check_number(l2, "l2", 0)
    if not isinstance(nonnegative, (bool, np.bool_)):
        raise TypeError(f"nonnegative: expected True or False, got {nonnegative!r}")
    if not 0 < check_number(tol, "tol") < 1:
        raise ValueError(f"tol: expected a number between 0 and 1, got {tol!r}")
    check_count(max_sweeps, "max_sweeps")
    first = None if start is None else _columns(start, n, dtype)
    misses = np.empty(n)
    if there:
        indptr, indices, values = device_solvers.slim(
            gram,
            l1=l1,
            l2=l2,
            nonnegative=bool(nonnegative),
            tol=float(tol),
            max_sweeps=int(max_sweeps),
            start=first,
            misses=misses,
        )
    else:
        options = bool(nonnegative), float(tol), int(max_sweeps), first, misses, resolve_threads(num_threads)
        indptr, indices, values = core_for(gram).slim(gram, l1, l2, *options)
    open_ = misses > tol
    if open_.any():
        warnings.warn(
            f"{int(open_.sum())} of {n} columns did not converge in {max_sweeps} sweeps: the worst misses its "
            f"optimality conditions by {misses.max():.1e} of its largest G_ij, and tol={tol:.1e} was asked for",
            ConvergenceWarning,
            stacklevel=2,
        )
    W = sp.csc_matrix((values, indices, indptr), shape=(n, n))
    W.sort_indices()
    return W


def _check_gram(gram: Any, threads: int) -> Any:
    """A symmetric matrix with contiguous rows."""
    if not isinstance(gram, np.ndarray) or gram.ndim != 2 or gram.dtype not in (np.float32, np.float64):
        raise TypeError("gram: expected a two-dimensional NumPy array of float32 or float64")
    n = len(gram)
    if gram.shape[1] != n:
        raise ValueError(f"gram: expected a square matrix, got shape {gram.shape}")
    if gram.flags.f_contiguous:
        gram = gram.T  # symmetric: the same numbers, by rows
    elif n and (gram.strides[1] != gram.itemsize or gram.strides[0] < n * gram.itemsize):
        raise ValueError("gram: rows must be contiguous (C order)")
    core = core_for(gram)
    skew = core.asymmetry(gram, threads)
    if np.isnan(skew):
        raise ValueError("gram: expected finite numbers, got NaN or infinity")
    if skew > SYMMETRY[gram.dtype]:
        raise ValueError(f"gram: expected a symmetric matrix; its halves differ by {skew:.1e} of the diagonal")
    return gram


def _columns(start: Any, n: int, dtype: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Columns of `start` as the kernel takes them."""
    if not is_sparse(start) or start.shape != (n, n):
        raise ValueError(f"start: expected a sparse matrix of shape ({n}, {n})")
    W = sp.csc_matrix(start, dtype=dtype, copy=True)
    W.sum_duplicates()
    if not np.isfinite(W.data).all():
        raise ValueError("start: expected finite numbers")
    return W.indptr.astype(np.int64), W.indices.astype(np.int32), W.data
