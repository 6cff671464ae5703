"""How good embeddings are beside their recommendations: by what is known of the items, and by their popularity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..ops.gram_product import check_embeddings
from ..ops.score import product
from .metrics import Metric, check_held_out, ndcg

_BLOCK_BYTES = 256e6  # of distances at a time


class NearestNeighborScore(NamedTuple):
    """Shares of items with a class in common with their nearest neighbour, and how many items were counted."""

    euclidean: float
    cosine: float
    n_items: int


def nearest_neighbor_score(E: NDArray[Any], classes: Any, *, num_threads: int = 0) -> NearestNeighborScore:
    """Share of the items whose nearest neighbour in embedding space has a class (such as a genre) in common.

    Parameters
    ----------
    E : ndarray, (items, dim)
        Embeddings: float32 or float64, finite.
    classes : sparse matrix, (items, classes), or sequence of iterables
        Non-zero: the item is of that class; or the classes of every item, such as ``["Comedy|Drama".split("|"), ...]``.
        Items without any are left out, also as neighbours.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    NearestNeighborScore
        By Euclidean distance and by cosine. Of neighbours that are equally near, the first counts.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if fewer than two items have a class.

    Notes
    -----
    Appendix D.3 of Shenbin and Nikolenko, ICLR 2024.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> E = np.array([[0.0, 1.0], [0.0, 1.1], [1.0, 0.0], [1.2, 0.0]])
    >>> fastlae.evaluation.nearest_neighbor_score(E, [["war"], ["war", "drama"], ["comedy"], ["drama"]])
    NearestNeighborScore(euclidean=0.5, cosine=0.5, n_items=4)
    """
    threads = resolve_threads(num_threads)
    check_embeddings(E, "E")
    of_item = _classes(classes, len(E))
    used = np.flatnonzero(np.diff(of_item.indptr))
    if len(used) < 2:
        raise ValueError(f"classes: expected two items with a class, got {len(used)}")
    known = sp.csr_matrix(of_item[used], dtype=np.float32)
    points = E[used].astype(np.float64)
    length = np.linalg.norm(points, axis=1, keepdims=True)
    scores = []
    for rows, squares in (
        (points, 0.5 * (points**2).sum(axis=1)),  # the nearest has the largest x.y - y.y / 2
        (points / np.where(length > 0, length, 1), np.zeros(len(points))),
    ):
        nearest = _nearest(np.ascontiguousarray(rows), squares, threads)
        common = np.asarray(known.multiply(known[nearest]).sum(axis=1)).ravel()
        scores.append(float((common > 0).mean()))
    return NearestNeighborScore(scores[0], scores[1], len(used))


def _nearest(rows: NDArray[np.float64], squares: NDArray[np.float64], num_threads: int) -> NDArray[np.int64]:
    """For every row, the other with the largest inner product less its entry of `squares`."""
    n = len(rows)
    turned = np.ascontiguousarray(rows.T)
    nearest = np.empty(n, np.int64)
    step = max(1, int(_BLOCK_BYTES / (8 * n)))
    for begin in range(0, n, step):
        end = min(n, begin + step)
        near = product(rows[begin:end], turned, num_threads)
        near -= squares
        near[np.arange(end - begin), np.arange(begin, end)] = -np.inf
        nearest[begin:end] = near.argmax(axis=1)
    return nearest


def _classes(classes: Any, items: int) -> Any:
    if sp.issparse(classes) or isinstance(classes, np.ndarray):
        matrix = as_csr(classes, "classes").scipy()
    else:
        names: dict[Any, int] = {}
        lists: list[Iterable[Any]] = list(classes)
        rows = [[names.setdefault(name, len(names)) for name in dict.fromkeys(one)] for one in lists]
        ends = np.cumsum([0, *map(len, rows)])
        columns = np.array([c for row in rows for c in row], np.int32)
        matrix = sp.csr_matrix(
            (np.ones(len(columns), np.float32), columns, ends), shape=(len(rows), max(1, len(names)))
        )
    if matrix.shape[0] != items:
        raise ValueError(f"classes: expected {items} items, as E has, got {matrix.shape[0]}")
    return matrix


def popularity_groups(train: Any, groups: int = 3) -> NDArray[np.int64]:
    """Items cut into groups of equal size by popularity: the group of every item, 0 being the most popular.

    Parameters
    ----------
    train : sparse matrix, (users, items), or Interactions
        Whose users are counted; equally popular items go by position.
    groups : int
        At least 1, and at most the number of items.

    Returns
    -------
    ndarray of int64, (items,)

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.popularity_groups(sp.csr_matrix([[1, 0, 1], [1, 0, 0]]), 3)
    array([0, 2, 1])
    """
    csr = as_csr(train, "train")
    n = csr.shape[1]
    if isinstance(groups, bool) or not hasattr(groups, "__index__"):
        raise TypeError(f"groups: expected an integer, got {groups!r}")
    if not 1 <= groups <= n:
        raise ValueError(f"groups: expected 1 to {n} (the number of items), got {groups}")
    counts = np.bincount(csr.indices, minlength=n)
    order = np.argsort(-counts, kind="stable")
    result = np.empty(n, np.int64)
    result[order] = np.arange(n) * int(groups) // n
    return result


def ndcg_by_popularity(
    top: Any, held_out: Any, train: Any, *, k: int = 100, groups: int = 3, num_threads: int = 0
) -> list[Metric]:
    """NDCG of popular, less popular and rare items apart.

    All items are ranked; of the held-out ones only a group's count as targets, and users without any are left out.

    Parameters
    ----------
    top : array_like, (users, at least k)
        Recommended items, best first, as `recommend` returns them.
    held_out : sparse matrix, (users, items)
        Targets.
    train : sparse matrix, (any users, items), or Interactions
        By which popularity is counted; see `popularity_groups`.
    k : int
        Cut-off.
    groups : int
        Of equal numbers of items.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    list of Metric
        The most popular group first.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target in a group.

    Notes
    -----
    Table 6 of Shenbin and Nikolenko, ICLR 2024, whose text leaves open what the targets are.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> train, held_out = sp.csr_matrix([[1, 0, 1], [1, 0, 0]]), sp.csr_matrix([[0, 1, 0], [0, 0, 1]])
    >>> found = fastlae.evaluation.ndcg_by_popularity([[2], [2]], held_out, train, k=1, groups=2)
    >>> [float(metric) for metric in found]
    [1.0, 0.0]
    """
    targets = check_held_out(held_out)
    of_item = popularity_groups(train, groups)
    if len(of_item) != targets.shape[1]:
        raise ValueError(f"train: expected {targets.shape[1]} items, as held_out has, got {len(of_item)}")
    results = []
    for group in range(int(groups)):
        inside = of_item[targets.indices] == group
        before = np.concatenate([[0], np.cumsum(inside, dtype=np.int64)])
        part = Csr(before[targets.indptr], targets.indices[inside], None, targets.shape)
        results.append(ndcg(top, part.scipy(), k, num_threads=num_threads))
    return results
