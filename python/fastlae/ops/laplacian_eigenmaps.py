"""Laplacian Eigenmaps of a neighbourhood graph, and LEPORID, which regularizes them by degree."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._eigen import Eigenpairs, dense_eigenpairs, leading_eigenpairs, pays_dense
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..errors import ConvergenceWarning
from .score import score
from .topk import check_count
from .weights import check_number

Vector = NDArray[np.float64]
_FLOOR = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-11}  # what products in this type can tell apart
_ROWS = 4096
_SAME = 1e-4  # entries of a vector this close to its largest are as large


def laplacian_eigenmaps(
    graph: Any, *, dim: int, alpha: float = 0.0, standardize: bool = False, tol: float = 1e-5, num_threads: int = 0
) -> NDArray[Any]:
    """Embeddings of a graph's nodes in which neighbours are close: LE at ``alpha=0``, LEPORID above.

    Parameters
    ----------
    graph : sparse matrix, (n, n)
        Symmetric, non-negative weights such as `knn_graph` makes; the diagonal is expected to be empty.
    dim : int
        Number of eigenvectors, at least 1 and at most the number of nodes that have a neighbour.
    alpha : float
        How much a node of small degree is drawn to the origin, from 0 (Laplacian Eigenmaps) to 1 (all degrees count
        as the largest one). LEPORID's default in the paper is 0.5.
    standardize : bool
        Columns get mean 0 and variance 1 over the nodes that have a neighbour, as networks are given them; a constant
        column becomes zero.
    tol : float
        An eigenvector v with eigenvalue θ of N is taken when ``|N v - θ v| <= tol (θ + 1)``.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (n, dim)
        Columns are orthonormal unless `standardize`, by descending eigenvalue: the first is the trivial one, at
        ``alpha=0`` proportional to the square roots of the degrees. Of every column the largest entry (the first of
        them, where several are as large) is positive, so that results repeat. A node without neighbours gets the zero
        vector. float64 if `graph` is, else float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected: not square, not symmetric, negative or not finite, too
        many dimensions.
    MemoryNeededError
        Before anything is computed, if it does not fit.

    Warns
    -----
    ConvergenceWarning
        With the residual that was reached, if it is larger than asked for.

    Notes
    -----
    Equation (6) of Zhang et al., KDD 2021: the embeddings minimise
    ``1/2 Σ W_ij |q_i - q_j|² + α Σ (w_max - w_i) |q_i|²`` with w the row sums of W and w_max the largest. With
    w_reg = w + α (w_max - w) these are the eigenvectors of ``D_reg^-1/2 (D_reg - W) D_reg^-1/2`` with the smallest
    eigenvalues, which are those of
    ``N = D_reg^-1/2 W D_reg^-1/2`` with the largest (algebraically) ones: what is computed here, by block Lanczos on
    N + I, which is positive semidefinite, or by a dense solver for small graphs. Equivalent to

        w = W.sum(1); w = w + alpha * (w.max() - w)
        V = np.linalg.eigh(W / np.sqrt(np.outer(w, w)))[1][:, ::-1][:, :dim]

    but for signs. Products run on all threads and their bits do not depend on how many; the small dense algebra is
    NumPy's, so that vectors agree within `tol` for any number of threads.

    Examples
    --------
    A chain of four nodes and one apart; the second vector tells the two ends of the chain from each other:

    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> graph = sp.csr_matrix(np.diag([1.0, 2.0, 1.0, 0.0], 1) + np.diag([1.0, 2.0, 1.0, 0.0], -1))
    >>> fastlae.ops.laplacian_eigenmaps(graph, dim=2, alpha=0.5).round(2)
    array([[ 0.3 ,  0.64],
           [ 0.64,  0.3 ],
           [ 0.64, -0.3 ],
           [ 0.3 , -0.64],
           [ 0.  ,  0.  ]])
    """
    threads = resolve_threads(num_threads)
    dim = check_count(dim, "dim")
    alpha = check_number(alpha, "alpha", 0)
    if alpha > 1:
        raise ValueError(f"alpha: expected a number from 0 to 1, got {alpha!r}")
    if check_number(tol, "tol", 0) == 0:
        raise ValueError(f"tol: expected a positive number, got {tol!r}")
    csr = checked_graph(graph)
    n = csr.shape[0]
    connected = np.diff(csr.indptr) > 0
    if dim > connected.sum():
        raise ValueError(f"dim: expected at most the {connected.sum()} nodes that have a neighbour, got {dim}")
    dtype = np.dtype(np.float64 if csr.values is not None and csr.values.dtype == np.float64 else np.float32)
    found = _eigenpairs(csr, degrees(csr, alpha), dim, tol, dtype, threads)
    vectors = signed(found.vectors)
    vectors[~connected] = 0.0
    if standardize:
        vectors = standardized(vectors, connected)
    assert vectors.shape == (n, dim)
    return vectors.astype(dtype)


def checked_graph(graph: Any) -> Csr:
    """A graph as the kernels take it, refused where it is not symmetric or has negative weights."""
    csr = as_csr(graph, "graph", nonnegative=True)
    if csr.shape[0] != csr.shape[1]:
        raise ValueError(f"graph: expected a square matrix, got shape {csr.shape}")
    # W x = Wᵀ x for a random x; to transpose W would take its memory once more, and longer.
    dtype = np.dtype(np.float32 if csr.values is None else csr.values.dtype)
    W, x = csr.scipy(dtype), np.random.default_rng(0).standard_normal(csr.shape[0]).astype(dtype)
    bound = (1e-5 if dtype == np.float32 else 1e-10) * (W @ np.abs(x))
    if (np.abs(W @ x - W.T @ x) > bound).any():
        raise ValueError("graph: expected a symmetric matrix; a directed graph G can be made one by G.maximum(G.T)")
    return csr


def degrees(graph: Csr, alpha: float) -> Vector:
    """W + α (w_max - w), the regularized degrees."""
    count = np.diff(graph.indptr)
    w = count.astype(np.float64)
    if graph.values is not None:
        w[count > 0] = np.add.reduceat(graph.values, graph.indptr[:-1][count > 0], dtype=np.float64)
    return np.asarray(w + alpha * (w.max(initial=0.0) - w))


def normalized(graph: Csr, w: Vector, dtype: Any) -> Csr:
    """N = D^-1/2 W D^-1/2; rows of degree zero are empty anyway."""
    scale = np.divide(1.0, np.sqrt(w), out=np.zeros(len(w)), where=w > 0)
    values = np.empty(graph.nnz, dtype)
    for begin in range(0, len(w), _ROWS):  # in blocks: a graph's weights are most of the memory
        part = graph.rows(begin, min(begin + _ROWS, len(w)))
        first = int(graph.indptr[begin])
        own = np.repeat(scale[begin : begin + _ROWS], np.diff(part.indptr))
        values[first : first + part.nnz] = part.dense_values(dtype) * own * scale[part.indices]
    return graph._replace(values=values)


def _eigenpairs(graph: Csr, w: Vector, dim: int, tol: float, dtype: Any, threads: int) -> Eigenpairs:
    """The largest eigenpairs of N, with the largest residual."""
    n = graph.shape[0]
    if pays_dense(n, dim):
        _memory.require(8 * n * n, f"a dense graph of order {n}", "A smaller dim needs less.")
        found = dense_eigenpairs(normalized(graph, w, np.float64).scipy(np.float64).toarray(), dim)
        return found
    _memory.require(
        2 * graph.nnz * dtype.itemsize + 48 * n * dim, f"{dim} vectors of {n} nodes", "Fewer neighbours need less."
    )
    N = normalized(graph, w, dtype)

    def apply(V: Vector) -> Vector:
        """(N + I) V; the shift makes all eigenvalues positive and leaves the vectors as they are."""
        return np.asarray(score(N, V.astype(dtype), num_threads=threads) + V, np.float64)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what counts is the residual measured below
        found = leading_eigenpairs(apply, n, dim, tol=tol, floor=_FLOOR[np.dtype(dtype)])
    miss = np.linalg.norm(apply(np.ascontiguousarray(found.vectors)) - found.vectors * found.values, axis=0)
    residual = float((miss / np.maximum(found.values, 1e-10)).max())
    if residual > 2 * max(tol, _FLOOR[np.dtype(dtype)]):
        warnings.warn(
            f"laplacian_eigenmaps: an eigenvector has a residual of {residual:.1e} of its eigenvalue (plus 1), and "
            f"{tol:.1e} was asked for",
            ConvergenceWarning,
            stacklevel=3,
        )
    return Eigenpairs(found.values - 1.0, found.vectors, residual)


def signed(vectors: NDArray[Any]) -> Vector:
    """Columns with their largest entry positive; where several are as large, the first of them."""
    size = np.abs(vectors)
    first = np.argmax(size >= (1 - _SAME) * size.max(axis=0, initial=0.0), axis=0)
    turned = vectors[first, np.arange(vectors.shape[1])] < 0
    return np.asarray(vectors * np.where(turned, -1.0, 1.0), np.float64)


def standardized(columns: NDArray[Any], rows: NDArray[np.bool_] | None = None) -> Vector:
    """Columns with mean 0 and variance 1 over `rows` (all of them by default); the other rows become zero.

    A column that is constant up to rounding becomes zero.
    """
    taken = columns if rows is None else columns[rows]
    mean, spread = taken.mean(axis=0, dtype=np.float64), taken.std(axis=0, dtype=np.float64)
    size = np.abs(taken).max(axis=0, initial=0.0)
    varies = spread > 1e-6 * size
    result = np.where(varies, (columns - mean) / np.where(varies, spread, 1.0), 0.0)
    if rows is not None:
        result[~rows] = 0.0
    return np.asarray(result, np.float64)
