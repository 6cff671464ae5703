"""SLIM-LLE: embeddings that SLIM's weights reproduce, as locally linear embedding makes them of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray

from .. import _memory
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from .gram import result_dtype
from .gram_product import gram_product_checked
from .implicit_slim import slim_scales
from .topk import check_count
from .weights import check_number

Array = NDArray[np.float64]
_DENSE = 3000  # up to this order a dense solver is as fast


def slim_lle(
    X: Any,
    *,
    l2: float,
    dim: int,
    sum_to_one: bool = True,
    diagonal: Any = "exact",
    tol: float = 1e-6,
    num_threads: int = 0,
) -> NDArray[Any]:
    """Embeddings V of the items that lose least when every item is put together from the others by SLIM's weights.

    Parameters
    ----------
    X : sparse matrix, (users, items)
        Interactions. For embeddings of users, pass ``X.T``.
    l2 : float
        Ridge of SLIM, positive.
    dim : int
        At least 1, and less than the number of items.
    sum_to_one : bool
        The weights of every item sum to one, as in the paper: then constant embeddings lose nothing, and are left out.
    diagonal : {"exact", "approximate"} or ndarray, (items,)
        The diagonal of (X^T X + l2 I)^-1; see `implicit_slim`. "exact" computes that inverse once.
    tol : float
        Relative accuracy of the eigenvalues.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (items, dim)
        Columns are orthogonal, of length sqrt(items), best first, their largest entry positive; float64 if `X` is, else
        float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    MemoryNeededError
        Before anything is computed, if it does not fit.

    Notes
    -----
    Equation (4) and appendix A.2 of Shenbin and Nikolenko, ICLR 2024. With P = (X^T X + l2 I)^-1 and, for
    `sum_to_one`, M = P - P1 (P1)^T / (1^T P1), else M = P: the weights are B = I - M D^-1, D = diag(M), and V has the
    eigenvectors of M D^-2 M with the smallest eigenvalues (after the null vector 1). Equivalent to

        values, vectors = eigh(M @ diag(1 / diag(M)) ** 2 @ M)
        V = sqrt(n) * vectors[:, 1 : dim + 1]

    Computed as the largest ones of the pseudo-inverse, which is made of products with X, so no items x items matrix is
    formed beside the exact diagonal.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.ops.slim_lle(X, l2=1.0, dim=1).round(3).T
    array([[ 1.,  1., -1., -1.]], dtype=float32)
    """
    threads = resolve_threads(num_threads)
    result = result_dtype(X, None)
    csr = as_csr(X, dtype=np.float64)
    n = csr.shape[1]
    if check_count(dim, "dim") >= n:
        raise ValueError(f"dim: expected less than the number of items ({n}), got {dim}")
    check_number(tol, "tol", 0)
    ridge, P_diagonal = slim_scales(
        csr, l2=l2, diagonal=diagonal, base="ease", dropout=0.0, dtype=np.float64, num_threads=threads
    )
    apply = _operator(csr, ridge, P_diagonal, sum_to_one, threads)
    vectors = leading_eigenvectors(apply, n, dim, tol)
    return np.ascontiguousarray(vectors * np.sqrt(n), dtype=result)


def _operator(X: Csr, ridge: Array, P_diagonal: Array, sum_to_one: bool, num_threads: int) -> Callable[[Array], Array]:
    """The pseudo-inverse of M D^-2 M, as a product with vectors in columns."""

    def regularized_gram(V: Array) -> Array:
        return gram_product_checked(np.ascontiguousarray(V), X, ridge, None, num_threads)

    if not sum_to_one:
        return lambda V: regularized_gram(P_diagonal[:, None] ** 2 * regularized_gram(V))
    n = X.shape[1]
    P_one = _solve(regularized_gram, P_diagonal, np.ones(n))
    M_diagonal = P_diagonal - P_one**2 / P_one.sum()
    smallest = 1e-12 * P_diagonal
    square = np.maximum(M_diagonal, smallest) ** 2

    def centred(V: Array) -> Array:
        result: Array = V - V.mean(axis=0)
        return result

    def apply(V: Array) -> Array:
        V = regularized_gram(centred(V))
        V = centred(V)
        V = square[:, None] * V - np.outer(square, square @ V) / square.sum()
        return centred(regularized_gram(centred(V)))

    return apply


def _solve(apply: Callable[[Array], Array], inverse_diagonal: Array, right: Array) -> Array:
    """Conjugate gradients, preconditioned by the diagonal."""
    n = len(right)
    A = scipy.sparse.linalg.LinearOperator((n, n), matvec=lambda v: apply(v.reshape(n, 1))[:, 0], dtype=np.float64)
    scale = scipy.sparse.linalg.LinearOperator((n, n), matvec=lambda v: inverse_diagonal * v.ravel(), dtype=np.float64)
    solution, failed = scipy.sparse.linalg.cg(A, right, rtol=1e-12, atol=0.0, maxiter=2000, M=scale)
    if failed and np.linalg.norm(apply(solution[:, None])[:, 0] - right) > 1e-6 * np.linalg.norm(right):
        raise ValueError("l2: so small that X^T X + l2 I cannot be solved with; a larger l2 can")
    return np.asarray(solution)


def leading_eigenvectors(apply: Callable[[Array], Array], n: int, k: int, tol: float) -> Array:
    """Eigenvectors (n, k) of a symmetric operator, largest eigenvalue first, signs settled by the largest entry."""
    if n <= _DENSE or k >= n - 1:
        _memory.require(3 * 8 * n * n, f"eigenvectors of a dense matrix of order {n}", "A smaller dim needs less.")
        A = apply(np.eye(n))
        A = (A + A.T) / 2
        _, vectors = scipy.linalg.eigh(A, subset_by_index=(n - k, n - 1), check_finite=False)
    else:
        operator = scipy.sparse.linalg.LinearOperator(
            (n, n), matvec=lambda v: apply(v.reshape(n, 1))[:, 0], matmat=apply, dtype=np.float64
        )
        start = np.random.default_rng(0).standard_normal(n)  # the same for every call
        _, vectors = scipy.sparse.linalg.eigsh(operator, k=k, which="LA", v0=start, tol=tol)
    vectors = vectors[:, ::-1]
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    signed: Array = vectors * np.where(largest < 0, -1.0, 1.0)
    return signed
