"""Starts for the embeddings of any network, computed from the interactions and written into its weights in place.

    fastlae.nn.init.leporid_(network.items.weight, X, side="items")

Every function takes a parameter with a row (``torch.nn.Embedding``) or, with ``axis=1``, a column (``torch.nn.Linear``
from items) per item or user, fills it whatever its dtype and device, and returns it. The number of dimensions is the
parameter's own.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from .. import ops
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..ops.laplacian_eigenmaps import standardized
from ..ops.topk import check_count

_SIDES = ("items", "users")


def leporid_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    alpha: float = 0.5,
    k: int = 1000,
    metric: str = "jaccard",
    graph: Any = None,
    standardize: bool = True,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 0,
) -> torch.Tensor:
    """Start from LEPORID: Laplacian Eigenmaps of the neighbourhood graph, regularized by degree.

    Parameters
    ----------
    weight : torch.Tensor
        A floating-point parameter (n, dim), or (dim, n) with ``axis=1``; changed in place.
    X : sparse matrix, (users, items), or Interactions
        Interactions of the training.
    side : {"items", "users"}
        Whose embeddings `weight` holds.
    alpha : float
        Strength of the regularization, 0 to 1; see `fastlae.ops.laplacian_eigenmaps`.
    k : int
        Neighbours in the graph; where there are fewer others, all of them.
    metric : str
        Of `fastlae.ops.knn_graph`.
    graph : sparse matrix, (n, n), optional
        The graph, where it is at hand already: for several `alpha`, say. Then `k` and `metric` do not count.
    standardize : bool
        Columns get mean 0 and variance 1, which is how the paper's authors pass them on; False: unit length. Note
        that a network whose output is bounded by tanh cannot reach all of a standardized embedding.
    axis : int
        0: a row per item or user; 1: a column.
    skip_first : int
        Rows (columns) before the first item or user, such as a padding index; they are left as they are.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    torch.Tensor
        `weight`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; `weight` is unchanged then.

    Notes
    -----
    Zhang et al., "Initialization matters: regularizing manifold-informed initialization for neural recommendation
    systems", KDD 2021. Users or items without a neighbour get the zero vector.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])
    >>> items = torch.nn.Embedding(5, 2, padding_idx=0)
    >>> weight = fastlae.nn.init.leporid_(items.weight, X, side="items", k=2, skip_first=1)
    >>> weight is items.weight, weight[1:].mean(0).abs().max().item() < 1e-6, weight[0].tolist()
    (True, True, [0.0, 0.0])
    """
    target = _Target(weight, X, side, axis, skip_first)
    if graph is None:
        graph = _graph(target, k, metric, num_threads)
    V = ops.laplacian_eigenmaps(graph, dim=target.dim, alpha=alpha, num_threads=num_threads)
    return target.fill(V, standardize)


def le_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    k: int = 1000,
    metric: str = "jaccard",
    graph: Any = None,
    standardize: bool = True,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 0,
) -> torch.Tensor:
    """Start from Laplacian Eigenmaps of the neighbourhood graph: ``leporid_`` with ``alpha=0``.

    Parameters
    ----------
    weight, X, side, k, metric, graph, standardize, axis, skip_first, num_threads
        As in ``leporid_``.

    Returns
    -------
    torch.Tensor
        `weight`.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])
    >>> users = torch.nn.Embedding(4, 2)
    >>> weight = fastlae.nn.init.le_(users.weight, X, side="users", k=2, standardize=False)
    >>> (weight.T @ weight).detach().numpy().round(3)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    return leporid_(
        weight,
        X,
        side,
        alpha=0.0,
        k=k,
        metric=metric,
        graph=graph,
        standardize=standardize,
        axis=axis,
        skip_first=skip_first,
        num_threads=num_threads,
    )


def svd_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    standardize: bool = False,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 0,
) -> torch.Tensor:
    """Start from the truncated singular value decomposition of X: V √Σ for items, U √Σ for users.

    The signs of both sides belong together: the product of users and items is the best approximation of X.

    Parameters
    ----------
    weight, X, side, axis, skip_first, num_threads
        As in ``leporid_``.
    standardize : bool
        Columns get mean 0 and variance 1.

    Returns
    -------
    torch.Tensor
        `weight`.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 0, 1]])
    >>> users, items = torch.nn.Embedding(2, 2), torch.nn.Embedding(3, 2)
    >>> fastlae.nn.init.svd_(users.weight, X, side="users") is users.weight
    True
    >>> (users.weight @ fastlae.nn.init.svd_(items.weight, X).T).detach().numpy().round(3)
    array([[1., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    target = _Target(weight, X, side, axis, skip_first)
    found = ops.svd_embeddings(target.X.scipy(np.float32), dim=target.dim, num_threads=num_threads)
    return target.fill(found[side == "items"], standardize)


def netmf_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    window: int = 10,
    negative: float = 1.0,
    k: int = 1000,
    metric: str = "jaccard",
    graph: Any = None,
    standardize: bool = False,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 0,
) -> torch.Tensor:
    """Start from NetMF of the neighbourhood graph: what DeepWalk would learn on it, in closed form.

    Parameters
    ----------
    weight, X, side, k, metric, graph, axis, skip_first, num_threads
        As in ``leporid_``.
    window, negative
        As in `fastlae.ops.netmf`.
    standardize : bool
        Columns get mean 0 and variance 1.

    Returns
    -------
    torch.Tensor
        `weight`.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])
    >>> items = torch.nn.Embedding(4, 2)
    >>> fastlae.nn.init.netmf_(items.weight, X, k=2) is items.weight
    True
    """
    target = _Target(weight, X, side, axis, skip_first)
    if graph is None:
        graph = _graph(target, k, metric, num_threads)
    V = ops.netmf(graph, dim=target.dim, window=window, negative=negative, num_threads=num_threads)
    return target.fill(V, standardize)


def implicit_slim_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    l2: float,
    alpha: float,
    steps: int = 1,
    min_count: float = 0,
    diagonal: Any = "approximate",
    base: str = "ease",
    dropout: float = 0.0,
    standardize: bool = False,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 0,
) -> torch.Tensor:
    """Start from ImplicitSLIM of what the weight holds now, such as noise; for refreshes see `ImplicitSLIMRefresh`.

    Parameters
    ----------
    weight, X, side, axis, skip_first, num_threads
        As in ``leporid_``.
    l2, alpha, min_count, diagonal, base, dropout
        As in `fastlae.ops.implicit_slim`.
    steps : int
        How often it is applied.
    standardize : bool
        Columns get mean 0 and variance 1.

    Returns
    -------
    torch.Tensor
        `weight`.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> items = torch.nn.Embedding(3, 2)
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> fastlae.nn.init.implicit_slim_(items.weight, X, l2=1.0, alpha=1.0) is items.weight
    True
    """
    target = _Target(weight, X, side, axis, skip_first)
    check_count(steps, "steps")
    E = np.ascontiguousarray(target.rows.detach().to("cpu", torch.float32).numpy())
    if not np.isfinite(E).all():
        raise ValueError("weight: expected finite numbers to start from, got NaN or infinity")
    X = target.of_side().scipy(np.float32)
    for _ in range(steps):
        E = ops.implicit_slim(
            E,
            X,
            l2=l2,
            alpha=alpha,
            min_count=min_count,
            diagonal=diagonal,
            base=base,
            dropout=dropout,
            num_threads=num_threads,
        )
    return target.fill(E, standardize)


def bpr_(
    weight: torch.Tensor,
    X: Any,
    side: str = "items",
    *,
    learning_rate: float = 0.25,
    regularization: float = 0.1,
    iterations: int = 100,
    seed: int = 0,
    standardize: bool = False,
    axis: int = 0,
    skip_first: int = 0,
    num_threads: int = 1,
) -> torch.Tensor:
    """Start from the factors of Bayesian personalized ranking, trained by the library ``implicit``.

    Its item biases, which are a column of its factors, are left out.

    Parameters
    ----------
    weight, X, side, axis, skip_first
        As in ``leporid_``.
    learning_rate, regularization, iterations
        Of ``implicit.bpr.BayesianPersonalizedRanking``; the defaults are the paper's.
    seed : int
        The same seed gives the same factors on one thread.
    standardize : bool
        Columns get mean 0 and variance 1.
    num_threads : int
        0 means all that the process may use; with more than one, results do not repeat.

    Returns
    -------
    torch.Tensor
        `weight`.

    Raises
    ------
    ImportError
        Without ``implicit``: ``pip install 'fastlae[bpr]'``.

    Examples
    --------
    >>> import scipy.sparse as sp, torch, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])
    >>> items = torch.nn.Embedding(4, 2)
    >>> fastlae.nn.init.bpr_(items.weight, X, iterations=5) is items.weight  # doctest: +SKIP
    True
    """
    target = _Target(weight, X, side, axis, skip_first)
    check_count(iterations, "iterations")
    if importlib.util.find_spec("implicit") is None:
        raise ImportError("bpr_ needs the library implicit: pip install 'fastlae[bpr]'")
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=target.dim,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        num_threads=resolve_threads(num_threads),
        random_state=int(seed),
    )
    model.fit(sp.csr_matrix(target.X.scipy(np.float32)), show_progress=False)
    factors = model.item_factors if side == "items" else model.user_factors
    return target.fill(np.asarray(factors[:, : target.dim]), standardize)


class _Target:
    """A parameter to be filled, checked against the interactions."""

    def __init__(self, weight: Any, X: Any, side: str, axis: int, skip_first: int) -> None:
        if not isinstance(weight, torch.Tensor) or weight.ndim != 2 or not weight.is_floating_point():
            raise TypeError(f"weight: expected a matrix of floating-point numbers, got {type(weight).__name__}")
        if side not in _SIDES:
            raise ValueError(f"side: expected 'items' or 'users', got {side!r}")
        if axis not in (0, 1):
            raise ValueError(f"axis: expected 0 or 1, got {axis!r}")
        if skip_first:
            check_count(skip_first, "skip_first")
        self.X, self.side = as_csr(X, nonnegative=True), side
        n = self.X.shape[side == "items"]
        if weight.shape[axis] - skip_first != n:
            before = f" (and {skip_first} before them)" if skip_first else ""
            raise ValueError(f"weight: expected {n} {side}{before} along axis {axis}, got shape {tuple(weight.shape)}")
        self.weight, self.dim = weight, int(weight.shape[1 - axis])
        self.rows = (weight if axis == 0 else weight.T)[int(skip_first) :]

    def of_side(self) -> Csr:
        """The interactions with a column for each of the parameter's rows."""
        return self.X if self.side == "items" else self.X.transpose()

    def fill(self, V: NDArray[Any], standardize: bool) -> torch.Tensor:
        """Write embeddings into the parameter."""
        if standardize:
            V = standardized(V, (V != 0).any(axis=1))
        with torch.no_grad():
            self.rows.copy_(torch.from_numpy(np.ascontiguousarray(V)))
        return self.weight


def _graph(target: _Target, k: int, metric: str, num_threads: int) -> Any:
    """The neighbourhood graph of the parameter's rows; with all others where there are not k."""
    X = target.of_side()
    return ops.knn_graph(X, k=min(check_count(k, "k"), max(1, X.shape[1] - 1)), metric=metric, num_threads=num_threads)
