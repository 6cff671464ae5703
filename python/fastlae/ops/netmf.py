"""NetMF: the matrix that DeepWalk factorises, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from .. import _memory
from .._eigen import leading_eigenpairs
from .._threads import resolve_threads
from .laplacian_eigenmaps import Vector, checked_graph, degrees, normalized, signed
from .score import product, score
from .topk import check_count
from .weights import check_number

_DENSE = 3000  # up to this order all eigenpairs are computed


def netmf(
    graph: Any,
    *,
    dim: int,
    window: int = 10,
    negative: float = 1.0,
    rank: int | None = None,
    num_threads: int = 0,
) -> NDArray[Any]:
    """Embeddings of a graph's nodes by factorising what random walks of DeepWalk count, in closed form.

    Parameters
    ----------
    graph : sparse matrix, (n, n)
        Symmetric, non-negative weights such as `knn_graph` makes.
    dim : int
        From 1 to n.
    window : int
        T, the steps of a walk that count as near.
    negative : float
        b, negative samples per positive one; positive.
    rank : int, optional
        Eigenpairs that the powers of the graph are made of. By default all up to 3,000 nodes (exact), else 256.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (n, dim)
        U √Σ of M, columns by descending singular value, their largest entry positive; a node without neighbours gets
        the zero vector. float64 if `graph` is, else float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    MemoryNeededError
        Before anything is computed, if n x n numbers do not fit.

    Notes
    -----
    Qiu et al., WSDM 2018: ``M = log max(1, vol(G) / (b T) Σ_r (D^-1 W)^r D^-1)``, r = 1 .. T. With the eigenpairs
    (Q, Λ) of ``D^-1/2 W D^-1/2`` the sum is ``D^-1/2 Q (Σ Λ^r) Qᵀ D^-1/2``. Equivalent to, for all eigenpairs,

        D = W.sum(1); P = W / D[:, None]
        S = sum(np.linalg.matrix_power(P, r) for r in range(1, window + 1)) / D
        U, s, _ = np.linalg.svd(np.log(np.maximum(1, W.sum() / (negative * window) * S)))
        U[:, :dim] * np.sqrt(s[:dim])

    but for signs.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> two_pairs = sp.csr_matrix(np.kron(np.eye(2), [[0, 1], [1, 0]]))
    >>> fastlae.ops.netmf(two_pairs, dim=2, window=2).round(3)
    array([[0.833, 0.   ],
           [0.833, 0.   ],
           [0.   , 0.833],
           [0.   , 0.833]], dtype=float32)
    """
    threads = resolve_threads(num_threads)
    dim, window = check_count(dim, "dim"), check_count(window, "window")
    if check_number(negative, "negative", 0) == 0:
        raise ValueError(f"negative: expected a positive number, got {negative!r}")
    csr = checked_graph(graph)
    n = csr.shape[0]
    if dim > n:
        raise ValueError(f"dim: expected at most the {n} nodes, got {dim}")
    if rank is not None:
        rank = min(n, check_count(rank, "rank"))
    elif n > _DENSE:
        rank = 256
    small = rank is None
    item = 8 if small else 4
    _memory.require(3 * item * n * n if small else item * n * n, f"NetMF of {n} nodes", "Fewer nodes need less.")
    dtype = np.float64 if csr.values is not None and csr.values.dtype == np.float64 else np.float32
    w = degrees(csr, 0.0)
    N = normalized(csr, w, np.float64)
    if small or rank is None:
        values, Q = scipy.linalg.eigh(N.scipy(np.float64).toarray(), check_finite=False)
    else:
        found = leading_eigenpairs(
            lambda V: np.asarray(score(N, V, num_threads=threads) + V), n, rank, tol=1e-5, floor=1e-6
        )
        values, Q = found.values - 1.0, found.vectors
    powers = sum(values**r for r in range(1, window + 1))
    scale = np.divide(1.0, np.sqrt(w), out=np.zeros(n), where=w > 0)
    F = (Q * scale[:, None]).astype(np.float64 if small else np.float32)
    M = product(np.ascontiguousarray(F * powers.astype(F.dtype)), np.ascontiguousarray(F.T), threads)
    M *= w.sum() / (negative * window)
    np.log(np.maximum(M, 1, out=M), out=M)
    vectors, sigma = _leading_left(M, dim, threads)
    vectors[w == 0] = 0.0
    return np.asarray(signed(vectors) * np.sqrt(sigma), dtype)


def _leading_left(M: NDArray[Any], dim: int, threads: int) -> tuple[Vector, Vector]:
    """Left singular vectors and values of a symmetric matrix, whose eigenvalues may have either sign."""
    n = len(M)
    if n <= _DENSE:
        values, vectors = scipy.linalg.eigh((M + M.T).astype(np.float64) / 2, check_finite=False)
        order = np.argsort(-np.abs(values), kind="stable")[:dim]
        return np.ascontiguousarray(vectors[:, order]), np.abs(values[order])

    def squared(V: Vector) -> Vector:
        once = product(M, np.ascontiguousarray(V, M.dtype), threads)
        return np.asarray(product(M, once, threads), np.float64)

    found = leading_eigenpairs(squared, n, dim, tol=1e-5, floor=1e-6)
    return found.vectors, np.sqrt(np.maximum(found.values, 0.0))
