"""Weighted matrix factorisation, and CoFactor: the same with item co-occurrences factored beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory, ops
from .._arrays import DeviceCsr, place_of
from .._sparse import Csr
from .._threads import resolve_threads
from ..ops.als import Term, als_rows
from ..ops.gram import check_float
from ..ops.implicit_slim import transposed_product
from ..ops.topk import check_count
from ..ops.weights import check_number
from .embedding import EmbeddingModel, Learned

_SOLVERS = ("cg", "cholesky")
_ENTRIES = 1 << 16  # of co-occurrences at a time


def _ridge(X: Any, alpha: float, l2: float, power: float) -> NDArray[np.float64]:
    """Of every row of `X`."""
    pointers = X.library.to_host(X.indptr) if isinstance(X, DeviceCsr) else X.indptr
    counts = np.diff(pointers).astype(np.float64)
    return np.asarray(l2 * (alpha * counts + X.shape[1]) ** power)


def _learned(E: Any, fold_in: NDArray[np.float64]) -> dict[str, Any]:
    return {"item_embeddings_": _copy(E), "bias_": _zeros((len(E),), E), "fold_in_": fold_in}


def _zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Of the dtype of `like`, where that is."""
    place = place_of(like)
    if place is None:
        return np.zeros(shape, like.dtype)
    array = place.empty(shape, place.library.dtype(like))
    array[...] = 0
    return array


def _copy(E: Any) -> Any:
    array = _zeros(tuple(E.shape), E)
    array[...] = E
    return array


class WeightedModel(EmbeddingModel):
    """What the weighted models share: users are folded in with the constants of the fit.

    Attributes
    ----------
    fold_in_ : ndarray of float64
        The hyperparameters that the vector of a user depends on, as they were when the model was fitted.
    """

    fold_in_: NDArray[np.float64]

    _arrays = (*EmbeddingModel._arrays, "fold_in_")

    def _vectors(self, X: Any) -> Any:
        P = _zeros((X.shape[0], self.item_embeddings_.shape[1]), self.item_embeddings_)
        term, shared, ridge = self._problem(X)
        als_rows([term], shared, ridge, P, steps=0, num_threads=resolve_threads(self.num_threads))
        return P

    @abstractmethod
    def _problem(self, X: Any) -> tuple[Term, Any, Any]:
        """What the rows of `X` are folded in by: the term of their entries, the shared matrix, and the ridge."""


class WMF(WeightedModel):
    """Weighted matrix factorisation (iALS): what users have weighs more than what they have not.

    Minimises ``sum_ui c_ui (x_ui > 0 - p_u . e_i)^2 + sum_u l_u |p_u|^2 + sum_i l_i |e_i|^2`` with c = 1 + alpha x by
    alternating least squares. A user, seen in training or not, has the vector that is best for E.

    Parameters
    ----------
    dim : int, keyword-only
        Dimensions of the embeddings.
    alpha : float
        By how much what a user has weighs more, positive.
    l2 : float
        Ridge, positive.
    frequency_power : float
        The ridge of a user with m items, c of n missing ones: ``l2 (m alpha + n) ** frequency_power``, of an item
        likewise; 0 is one ridge for all.
    solver : {"cg", "cholesky"}
        "cg": some steps of conjugate gradients from the last sweep's vectors; "cholesky": exactly.
    cg_steps : int
        Of "cg", per sweep.
    implicit_slim : None or "init+reg"
        "init+reg": every step computes V = implicit_slim(E), begins with it and adds ``slim_weight |E - V|^2``.
    slim_l2, slim_alpha, slim_min_count, slim_weight : float
        The first three as in `fastlae.ops.implicit_slim`.
    steps : int
        Sweeps, at most; `fit(X, validation=...)` ends earlier.
    dtype, seed, num_threads
        As in `MF`.
    device : None, "cpu", "cuda" or "cuda:0"
        Where to compute. None: where the interactions are. What is learned stays on the device; `to("cpu")` fetches it.

    Notes
    -----
    Hu, Koren and Volinsky, ICDM 2008; conjugate gradients as in Takacs, Pilaszy and Tikk, RecSys 2011.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.WMF(dim=2, l2=0.1).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        alpha: float = 10.0,
        l2: float = 10.0,
        frequency_power: float = 0.0,
        solver: str = "cg",
        cg_steps: int = 3,
        implicit_slim: str | None = None,
        slim_l2: float = 100.0,
        slim_alpha: float = 1.0,
        slim_min_count: float = 0,
        slim_weight: float = 10.0,
        steps: int = 15,
        dtype: Any = "float32",
        seed: int = 0,
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.dim = dim
        self.alpha = alpha
        self.l2 = l2
        self.frequency_power = frequency_power
        self.solver = solver
        self.cg_steps = cg_steps
        self.implicit_slim = implicit_slim
        self.slim_l2 = slim_l2
        self.slim_alpha = slim_alpha
        self.slim_min_count = slim_min_count
        self.slim_weight = slim_weight
        self.steps = steps
        self.dtype = dtype
        self.seed = seed
        self.num_threads = num_threads
        self.device = device

    def _check(self) -> None:
        for name in ("alpha", "l2"):
            if check_number(getattr(self, name), name, 0) == 0:
                raise ValueError(f"{name}: expected a positive number, got 0")
        check_number(self.frequency_power, "frequency_power")
        check_number(self.slim_weight, "slim_weight", 0)
        check_count(self.steps, "steps")
        check_count(self.cg_steps, "cg_steps")
        if self.solver not in _SOLVERS:
            raise ValueError(f"solver: expected one of {', '.join(map(repr, _SOLVERS))}, got {self.solver!r}")
        if self.implicit_slim not in (None, "init+reg"):
            raise ValueError(f"implicit_slim: expected None or 'init+reg', got {self.implicit_slim!r}")

    def _sweeps(self, X: Any) -> Iterator[Learned]:
        threads = resolve_threads(self.num_threads)
        slim = self._slim(X)
        by_item = X.transpose()
        fold_in = np.array([self.alpha, self.l2, self.frequency_power], np.float64)
        rows, columns = _ridge(X, *fold_in), _ridge(by_item, *fold_in)
        E: Any = self._noise(X.shape[1], 0.1 / np.sqrt(self.dim))
        if isinstance(X, DeviceCsr):
            E = X.place.from_host(E, E.dtype)
        P = _zeros((X.shape[0], self.dim), E)
        steps = self.cg_steps if self.solver == "cg" else 0
        for step in range(self.steps):
            V = None if slim is None else slim(E)
            if V is not None and step == 0:
                E = _copy(V)
            shared = transposed_product(E, E, threads)
            als_rows([Term(X, E, self.alpha)], shared, rows, P, steps=steps, num_threads=threads)
            shared = transposed_product(P, P, threads)
            terms = [Term(by_item, P, self.alpha)]
            if V is None:
                als_rows(terms, shared, columns, E, steps=steps, num_threads=threads)
            else:
                V *= self.slim_weight
                als_rows(terms, shared, columns + self.slim_weight, E, prior=V, steps=steps, num_threads=threads)
            yield partial(_learned, E, fold_in)

    def _problem(self, X: Any) -> tuple[Term, Any, Any]:
        E = self.item_embeddings_
        alpha, l2, power = self.fold_in_.tolist()
        shared = transposed_product(E, E, resolve_threads(self.num_threads))
        return Term(X, E, alpha), shared, _ridge(X, alpha, l2, power)

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        # The score is e^T M^-1 sum_k c_k f_k, M being the matrix of the user's problem.
        E = self.item_embeddings_.astype(np.float64)
        alpha, l2, power = self.fold_in_.tolist()
        f, extra = E[x.indices], alpha * x.dense_values(np.float64)
        M = E.T @ E + _ridge(x, alpha, l2, power)[0] * np.eye(E.shape[1]) + (f.T * extra) @ f
        return np.asarray((1 + extra) * (f @ np.linalg.solve(M, E[item])))


class CoFactor(WeightedModel):
    """Weighted matrix factorisation whose item embeddings also factor the items' co-occurrences.

    Minimises ``sum_ui c_ui (x_ui - p_u . e_i)^2 + sum_ij (M_ij - e_i . g_j - w_i - v_j - mu)^2``, the second over the
    M_ij > 0, plus ridges, by alternating least squares; M = max(0, log(n_ij D / (n_i n_j)) - log negatives) of the
    numbers of users who have two items both. Values of X count as 1.

    Parameters
    ----------
    dim : int, keyword-only
        Dimensions of the embeddings.
    c0, c1 : float
        Weights of what users have not, and have; 0 < c0 < c1.
    l2_user, l2_item, l2_context : float
        Ridges of p, e and g, positive.
    negatives : float
        Shift of M, positive; the larger, the sparser M.
    cg_steps : int
        Steps of conjugate gradients per sweep, as in `WMF`; 0 solves exactly, which takes longer.
    steps, dtype, seed, num_threads
        As in `MF`.

    Notes
    -----
    Liang, Altosaar, Charlin and Blei, RecSys 2016. M is made from the items x items Gram matrix, for which there must
    be memory during the fit.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.CoFactor(dim=2, l2_user=0.1, l2_item=0.1).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        dim: int = 100,
        c0: float = 0.03,
        c1: float = 0.3,
        l2_user: float = 1e-1,
        l2_item: float = 1e-1,
        l2_context: float = 1.0,
        negatives: float = 1.0,
        cg_steps: int = 3,
        steps: int = 20,
        dtype: Any = "float32",
        seed: int = 0,
        num_threads: int = 0,
    ) -> None:
        self.dim = dim
        self.c0 = c0
        self.c1 = c1
        self.l2_user = l2_user
        self.l2_item = l2_item
        self.l2_context = l2_context
        self.negatives = negatives
        self.cg_steps = cg_steps
        self.steps = steps
        self.dtype = dtype
        self.seed = seed
        self.num_threads = num_threads

    def _check(self) -> None:
        for name in ("c0", "l2_user", "l2_item", "l2_context", "negatives"):
            if check_number(getattr(self, name), name, 0) == 0:
                raise ValueError(f"{name}: expected a positive number, got 0")
        if not check_number(self.c1, "c1") > self.c0:
            raise ValueError(f"c1: expected more than c0 ({self.c0}), got {self.c1}")
        if self.cg_steps != 0:
            check_count(self.cg_steps, "cg_steps")
        check_count(self.steps, "steps")

    def _sweeps(self, X: Csr) -> Iterator[Learned]:
        threads = resolve_threads(self.num_threads)
        dtype = check_float(self.dtype)
        X = X._replace(values=None)
        by_item = X.transpose()
        M = co_occurrences(X, self.negatives, threads)
        extra = self.c1 - self.c0
        n = X.shape[1]
        P = np.zeros((X.shape[0], self.dim), dtype)
        E, G = self._noise(n, 0.01), self._noise(n, 0.01, 1)
        rows = np.repeat(np.arange(n), np.diff(M.indptr))
        entries = M.dense_values(np.float64)
        structure = M._replace(values=None)
        counts = np.maximum(np.bincount(rows, minlength=n), 1)
        w, v, mean = np.zeros(n), np.zeros(n), 0.0
        nothing = np.zeros((self.dim, self.dim), dtype)
        steps = self.cg_steps

        def inner() -> NDArray[np.float64]:
            result = np.empty(len(rows))
            for begin in range(0, len(rows), _ENTRIES):
                part = slice(begin, begin + _ENTRIES)
                result[part] = np.einsum("ij,ij->i", E[rows[part]], G[M.indices[part]])
            return result

        for _ in range(self.steps):
            shared = self.c0 * transposed_product(E, E, threads)
            als_rows([Term(X, E, extra, None, self.c0)], shared, self.l2_user, P, steps=steps, num_threads=threads)
            shared = self.c0 * transposed_product(P, P, threads)
            by_row = Term(structure, G, 1.0, entries - w[rows] - v[M.indices] - mean)
            terms = [Term(by_item, P, extra, None, self.c0), by_row]
            als_rows(terms, shared, self.l2_item, E, steps=steps, num_threads=threads)
            # M is symmetric: row j of it has the contexts of item j too, with the biases the other way round.
            by_column = Term(structure, E, 1.0, entries - w[M.indices] - v[rows] - mean)
            als_rows([by_column], nothing, self.l2_context, G, steps=steps, num_threads=threads)
            rest = entries - inner()
            w = np.bincount(rows, weights=rest - v[M.indices] - mean, minlength=n) / counts
            v = np.bincount(M.indices, weights=rest - w[rows] - mean, minlength=n) / counts
            mean = float((rest - w[rows] - v[M.indices]).mean()) if len(rows) else 0.0
            yield partial(_learned, E, np.array([self.c0, self.c1, self.l2_user], np.float64))

    def _problem(self, X: Any) -> tuple[Term, Any, Any]:
        E = self.item_embeddings_
        c0, c1, l2 = self.fold_in_.tolist()
        shared = c0 * transposed_product(E, E, resolve_threads(self.num_threads))
        return Term(X._replace(values=None), E, c1 - c0, None, c0), shared, l2

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        E = self.item_embeddings_.astype(np.float64)
        f = E[x.indices]
        c0, c1, l2 = self.fold_in_.tolist()
        M = c0 * E.T @ E + l2 * np.eye(E.shape[1]) + (c1 - c0) * f.T @ f
        return np.asarray(c1 * (f @ np.linalg.solve(M, E[item])))


def co_occurrences(X: Csr, negatives: float, num_threads: int) -> Csr:
    """Positive pointwise mutual information of items, shifted by log negatives."""
    n = X.shape[1]
    _memory.require(6 * n * n, f"co-occurrences of {n} items", "Fewer items need less (n squared).")
    G = ops.gram(X, num_threads=num_threads)
    np.fill_diagonal(G, 0)
    of_item = G.sum(axis=1, dtype=np.float64)
    total = of_item.sum()
    indptr, indices, values = [0], [], []
    for i in range(n):
        others = np.flatnonzero(G[i])
        mutual = np.log(G[i, others] * total / (of_item[i] * of_item[others])) - np.log(negatives)
        kept = mutual > 0
        indices.append(others[kept].astype(np.int32))
        values.append(mutual[kept].astype(np.float32))
        indptr.append(indptr[-1] + int(kept.sum()))
    parts = np.concatenate(indices or [np.zeros(0, np.int32)]), np.concatenate(values or [np.zeros(0, np.float32)])
    return Csr(np.array(indptr, np.int64), *parts, (n, n))
