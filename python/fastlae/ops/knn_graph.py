"""The most similar items of every item, and the graph that they make."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._names import did_you_mean
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from .topk import Pair, check_count
from .weights import check_number

METRICS = ("jaccard", "cosine", "asymmetric_cosine", "conditional")
SETS = ("jaccard", "conditional")  # what is there counts, not its value


def knn_graph(
    X: Any, *, k: int, metric: str = "jaccard", shrink: float = 0.0, alpha: float = 0.5, num_threads: int = 0
) -> Any:
    """Graph of the items in which everyone is joined to the k that are most similar to it.

    Items i and j are neighbours if either is among the k most similar of the other; the weight is their similarity. For
    users pass ``X.T``. No items x items array is held: time grows with the pairs that have a user in common, memory
    with k.

    Parameters
    ----------
    X : sparse matrix, (users, items), or Interactions
        Finite, non-negative values of any format and number type; or a CSR matrix of torch or CuPy on a CUDA device,
        whose lists of neighbours are made there and put together in host memory.
    k : int
        At least 1. Of k >= items, all others are kept, with a warning.
    metric : {"jaccard", "cosine", "asymmetric_cosine", "conditional"}
        With n_i the number of users who have item i, c_ij of those who have both, and x_i the column of item i:

        - "jaccard": c_ij / (n_i + n_j - c_ij + shrink), whatever the values are;
        - "cosine": x_i·x_j / (‖x_i‖ ‖x_j‖ + shrink);
        - "asymmetric_cosine": x_i·x_j / (‖x_i‖^2α ‖x_j‖^2(1-α) + shrink);
        - "conditional": P(j|i) = c_ij / (n_i + shrink), whatever the values are.

        Where a metric gives two numbers to a pair, the larger one of those that were kept is the weight.
    shrink : float
        At least 0: makes similarities smaller that rest on few users.
    alpha : float
        Of "asymmetric_cosine", from 0 to 1; 0.5 makes it the cosine.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    scipy.sparse.csr_matrix of float32, (items, items)
        Symmetric, without a diagonal; all stored weights are positive. An item that shares no user with another has an
        empty row.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    MemoryNeededError
        Before anything is allocated, if the result does not fit.

    Warns
    -----
    UserWarning
        If k >= items.

    Notes
    -----
    Equivalent, for "jaccard" and 0/1 data without ties, to ::

        C = (X.T @ X).toarray(); n = C.diagonal()
        S = C / (n[:, None] + n - C); np.fill_diagonal(S, 0)
        kept = np.where(np.argsort(np.argsort(-S)) < k, S, 0)
        graph = np.maximum(kept, kept.T)

    Similarities are compared as float32; ties go to the smaller item.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]])
    >>> fastlae.ops.knn_graph(X, k=1).toarray()
    array([[0.  , 1.  , 0.  , 0.  ],
           [1.  , 0.  , 0.  , 0.  ],
           [0.  , 0.  , 0.  , 0.5 ],
           [0.  , 0.  , 0.5 , 0.  ]], dtype=float32)
    """
    neighbours, similarities, threads = _neighbours(X, k, metric, shrink, alpha, False, num_threads)
    n = len(neighbours)
    indptr, indices, values = core_for(neighbours).union_graph(neighbours, similarities, threads)
    return sp.csr_matrix((values, indices, indptr), shape=(n, n))


def nearest_neighbours(
    X: Any, *, k: int, metric: str = "jaccard", shrink: float = 0.0, alpha: float = 0.5, num_threads: int = 0
) -> Pair:
    """The k most similar other items of every item, most similar first.

    Parameters
    ----------
    X, k, metric, shrink, alpha, num_threads
        As of `knn_graph`.

    Returns
    -------
    items : ndarray of int32, (items, k)
        Ties go to the smaller item. Only items of positive similarity are taken: empty slots hold -1.
    similarities : ndarray of float32, (items, k)
        Of row i, "conditional" is P(j|i). -inf in empty slots.

    Raises
    ------
    ValueError, TypeError, MemoryNeededError
        As of `knn_graph`.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [1, 1, 1]])
    >>> fastlae.ops.nearest_neighbours(X, k=2)
    (array([[1, 2],
           [0, 2],
           [0, 1]], dtype=int32), array([[1. , 0.5],
           [1. , 0.5],
           [0.5, 0.5]], dtype=float32))
    """
    return _neighbours(X, k, metric, shrink, alpha, True, num_threads)[:2]


def _neighbours(
    X: Any, k: int, metric: str, shrink: float, alpha: float, ordered: bool, num_threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    threads = resolve_threads(num_threads)
    check_similarity(metric, shrink, alpha)
    check_count(k, "k")
    there = on_cuda(X)
    csr = None if there else as_csr(X, nonnegative=True)
    n = int((X if csr is None else csr).shape[1])
    if k >= n:
        warnings.warn(f"k: {k} neighbours of {n} items asked for: all others are kept", UserWarning, stacklevel=3)
        k = max(1, n - 1)
    # Lists, their transpose, and a graph that is at most twice as large.
    _memory.require(
        n * int(k) * (8 if ordered else 32), f"a graph of {n} items with {k} neighbours", "A smaller k needs less."
    )
    if csr is None:
        from . import device

        found = device.nearest_neighbours(X, k=int(k), metric=metric, shrink=shrink, alpha=float(alpha))
        return (*(found if ordered else device.neighbour_lists(*found)), threads)
    found = neighbours_checked(
        csr.transpose(), csr, int(k), metric, shrink, alpha, ordered=ordered, num_threads=threads
    )
    return *found, threads


def check_similarity(metric: Any, shrink: Any, alpha: Any) -> None:
    """Refuse what is no similarity."""
    if metric not in METRICS:
        hint = did_you_mean(metric, METRICS) if isinstance(metric, str) else ""
        raise ValueError(f"metric: expected one of {', '.join(map(repr, METRICS))}, got {metric!r}{hint}")
    check_number(shrink, "shrink", 0)
    if not 0 <= check_number(alpha, "alpha") <= 1:
        raise ValueError(f"alpha: expected a number from 0 to 1, got {alpha!r}")


class Terms(NamedTuple):
    """What a similarity divides an inner product by: see Similarity in csrc/include/fastlae/knn_graph.hpp."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    product: bool
    overlap: float


def similarity_terms(rows: Csr, columns: Csr, metric: str, alpha: float, target: bool = False) -> Terms:
    """Those of the rows of `rows`, (q, features), and of the columns of `columns`, (features, objects)."""
    if metric in SETS:
        of_row = np.diff(rows.indptr).astype(np.float64)
        of_column = np.bincount(columns.indices, minlength=columns.shape[1]).astype(np.float64)
        if metric == "jaccard":
            return Terms(of_row, of_column, False, 1.0)
        if target:
            return Terms(np.zeros_like(of_row), of_column, False, 0.0)
        return Terms(of_row, np.zeros_like(of_column), False, 0.0)
    of_row, of_column = _squares(rows, by_row=True), _squares(columns, by_row=False)
    if metric == "cosine":
        return Terms(np.sqrt(of_row), np.sqrt(of_column), True, 0.0)
    power = 1 - alpha if target else alpha
    return Terms(of_row**power, of_column ** (1 - power), True, 0.0)


def _squares(X: Csr, *, by_row: bool) -> NDArray[np.float64]:
    """Sums of squares of the rows or the columns; the same bits either way."""
    places = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)) if by_row else X.indices
    squares = None if X.values is None else X.values.astype(np.float64) ** 2
    return np.bincount(places, weights=squares, minlength=X.shape[0 if by_row else 1]).astype(np.float64)


def neighbours_checked(
    rows: Csr,
    columns: Csr,
    k: int,
    metric: str,
    shrink: float = 0.0,
    alpha: float = 0.5,
    *,
    same: bool = True,
    ordered: bool = True,
    target: bool = False,
    num_threads: int,
) -> Pair:
    """The k columns of `columns`, (features, objects), that are most similar to each row of `rows`, (q, features).

    same: rows are the columns, and none is its own neighbour. ordered: most similar first, else by object. target: the
    similarity is that of the object to the row, where the metric makes a difference.
    """
    if metric in SETS:
        rows, columns = rows._replace(values=None), columns._replace(values=None)
    terms = similarity_terms(rows, columns, metric, float(alpha), target)
    items, similarities = np.empty((rows.shape[0], k), np.int32), np.empty((rows.shape[0], k), np.float32)
    core_for(items).nearest_neighbours(
        rows[:3],
        columns[:3],
        terms.rows,
        terms.columns,
        terms.product,
        terms.overlap,
        float(shrink),
        same,
        ordered,
        items,
        similarities,
        num_threads,
    )
    return items, similarities
