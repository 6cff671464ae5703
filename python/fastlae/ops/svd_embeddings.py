"""Embeddings of users and items by truncated singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._eigen import Eigenpairs, dense_eigenpairs, leading_eigenpairs, pays_dense
from .._sparse import as_csr
from .._threads import resolve_threads
from .gram import gram
from .gram_product import gram_product
from .laplacian_eigenmaps import Vector, signed
from .score import score
from .topk import check_count


def svd_embeddings(X: Any, *, dim: int, tol: float = 1e-6, num_threads: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """U √Σ and V √Σ of the leading singular triplets of X, so that their product is the best of its rank.

    Parameters
    ----------
    X : sparse matrix, (users, items), or Interactions
        Finite values.
    dim : int
        From 1 to the smaller number of users and items.
    tol : float
        Relative accuracy of the squared singular values.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    users : ndarray, (users, dim)
    items : ndarray, (items, dim)
        By descending singular value; of every column of `items` the largest entry is positive. Columns beyond the rank
        of X are zero. float64 if `X` is, else float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``U, s, Vt = np.linalg.svd(X)``; ``U[:, :dim] * sqrt(s[:dim])``, ``Vt[:dim].T * sqrt(s[:dim])``, but
    for signs.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> users, items = fastlae.ops.svd_embeddings(sp.csr_matrix([[1.0, 1, 0], [0, 0, 1]]), dim=2)
    >>> (users @ items.T).round(6)
    array([[1., 1., 0.],
           [0., 0., 1.]])
    """
    threads = resolve_threads(num_threads)
    csr = as_csr(X, dtype=np.float64)
    dtype = np.float64 if getattr(X, "dtype", None) == np.float64 else np.float32
    dim = check_count(dim, "dim")
    if dim > min(csr.shape):
        raise ValueError(f"dim: expected at most {min(csr.shape)} for a matrix of shape {csr.shape}, got {dim}")
    wide = csr.shape[0] < csr.shape[1]
    other = csr.transpose()
    found = _eigenpairs_of_gram(other if wide else csr, dim, tol, threads)
    sigma = np.sqrt(np.maximum(found.values, 0.0))
    inverse = np.divide(1.0, sigma, out=np.zeros(dim), where=sigma > 1e-6 * sigma.max(initial=0.0))
    first = np.ascontiguousarray(found.vectors)
    second = score(other if wide else csr, first, num_threads=threads) * inverse
    U, V = (first, second) if wide else (second, first)
    turned = signed(V)
    U = U * np.where((turned * V).sum(axis=0) < 0, -1.0, 1.0)
    root = np.where(inverse > 0, np.sqrt(sigma), 0.0)
    return (U * root).astype(dtype), (turned * root).astype(dtype)


def _eigenpairs_of_gram(csr: Any, dim: int, tol: float, threads: int) -> Eigenpairs:
    """The largest of XᵀX."""
    n = csr.shape[1]
    if pays_dense(n, dim):
        return dense_eigenpairs(gram(csr, dtype=np.float64, num_threads=threads), dim)

    def apply(E: Vector) -> Vector:
        return np.asarray(gram_product(E, csr, num_threads=threads))

    return leading_eigenpairs(apply, n, dim, tol=tol)
