"""EDLAE of rank k: its own objective minimised over the factors, by exact alternation or by the published ADMM.

f(A, B) = ‖X - X M‖² + ‖Λ^½ M‖², M = off(AB) = AB - diag(AB), A (items, k), B (k, items). With H = G + Λ this is
tr G - 2<G, M> + <M, HM>. Everything here needs products of H with n x k matrices only: off(AB) is never formed.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from .._sparse import as_csr
from .._threads import resolve_threads
from ..errors import ConvergenceWarning
from ..ops.gram import check_float
from ..ops.topk import check_count
from ..ops.weights import check_dropout, check_number
from .factors import FactorModel
from .linear import gram_diagonal, invertible_ridge, user_weights
from .projected import _COMMON, Projection, check_ridge
from .spectral import GramOperator, _check_tol, check_rank

Array = NDArray[np.float64]
_log = logging.getLogger("fastlae")
_JITTER = 1e-11  # of the mean diagonal of A^T H A: what keeps it positive definite where the rank is nearly full


class Objective:
    """f(A, B), the two exact steps that lower it, and the published iteration. B is held transposed, (items, k)."""

    def __init__(self, gram: GramOperator, d: Array, ridge: Array) -> None:
        self.gram, self.d, self.ridge = gram, d, ridge
        self.h = d + ridge  # diagonal of H
        self.total = float(d.sum())  # tr G

    def times_H(self, V: Array) -> Array:
        """H V."""
        result: Array = self.gram.items(V) + self.ridge[:, None] * V
        return result

    def value(self, A: Array, Bt: Array, HA: Array) -> float:
        """f(A, B), given H A."""
        s = _rows_dot(A, Bt)  # diagonal of AB
        GA = HA - self.ridge[:, None] * A
        with_G = float(np.einsum("ij,ij->", GA, Bt) - self.d @ s)
        t = _rows_dot(HA, Bt)  # diagonal of H A B
        with_H = float(np.einsum("ij,ij->", A.T @ HA, Bt.T @ Bt) - 2 * (s @ t) + self.h @ s**2)
        return self.total - 2 * with_G + with_H

    def best_B(self, A: Array, HA: Array) -> Array:
        """The minimiser over B. Column j solves (K - h aᵀ - a hᵀ + H_jj a aᵀ) b = h - H_jj a, K = AᵀHA, where a and h
        are rows j of A and HA: rank-two changes of one k x k factorisation.
        """
        K = A.T @ HA
        K = 0.5 * (K + K.T)
        K[np.diag_indices_from(K)] += _JITTER * np.trace(K) / len(K)
        factor = scipy.linalg.cho_factor(K, check_finite=False)
        KA, KH = (scipy.linalg.cho_solve(factor, V.T, check_finite=False).T for V in (A, HA))
        Kr = KH - self.h[:, None] * KA  # K^-1 right
        # b = K^-1 r + K^-1 U (S^-1 - Uᵀ K^-1 U)^-1 Uᵀ K^-1 r with U = [h, a] and S^-1 = [[H_jj, 1], [1, 0]].
        m00, m01, m11 = self.h - _rows_dot(HA, KH), 1.0 - _rows_dot(HA, KA), -_rows_dot(A, KA)
        u0, u1 = _rows_dot(HA, Kr), _rows_dot(A, Kr)
        determinant = m00 * m11 - m01 * m01
        y0 = (m11 * u0 - m01 * u1) / determinant
        y1 = (m00 * u1 - m01 * u0) / determinant
        result: Array = Kr + KH * y0[:, None] + KA * y1[:, None]
        return result

    def operator_A(self, Z: Array, Bt: Array, BB: Array) -> Array:
        """off(H off(ZB)) Bᵀ, the gradient's linear part in A, without n x n."""
        s = _rows_dot(Z, Bt)
        sB = s[:, None] * Bt
        both = self.times_H(np.hstack([Z, sB]))  # one pass for both
        HZ, HsB = both[:, : Z.shape[1]], both[:, Z.shape[1] :]
        t = _rows_dot(HZ, Bt) - self.h * s
        result: Array = HZ @ BB - HsB - t[:, None] * Bt
        return result

    def better_A(self, A: Array, Bt: Array, steps: int, tol: float) -> Array:
        """Conjugate gradients towards the minimiser over A, from A: f falls with every step."""
        BB = Bt.T @ Bt
        small = BB + _JITTER * np.trace(BB) / len(BB) * np.eye(len(BB))
        factor = scipy.linalg.cho_factor(small, check_finite=False)
        scale = 1.0 / np.maximum(self.h, np.finfo(float).tiny)

        def precondition(R: Array) -> Array:
            solved: Array = scipy.linalg.cho_solve(factor, R.T, check_finite=False).T
            return scale[:, None] * solved

        target = self.gram.items(Bt) - self.d[:, None] * Bt  # off(G) Bᵀ
        R = target - self.operator_A(A, Bt, BB)
        D = Z = precondition(R)
        rz = float(np.vdot(R, Z))
        first = rz
        for _ in range(steps):
            if not rz > tol * first or rz <= 0:
                break
            Q = self.operator_A(D, Bt, BB)
            curvature = float(np.vdot(D, Q))
            if not curvature > 0:
                break
            A = A + (rz / curvature) * D
            R = R - (rz / curvature) * Q
            Z = precondition(R)
            rz, before = float(np.vdot(R, Z)), rz
            D = Z + (rz / before) * D
        return A


class LowRankEDLAE(FactorModel):
    __doc__ = f"""EDLAE at rank k: min ‖X - XM‖² + ‖Λ^½ M‖², M = off(AB), Λ = p/q d + l2 (q = 1 - p) (Steck 2020).

    off(·) leaves the diagonal out, so no item explains itself, as in `EDLAE`, whose minimum at rank n this is. Not
    convex: the result depends on the start, which is that of `LREDLAE`.

    Parameters
    ----------
    k : int
        Rank of AB.
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    dropout : float or array_like, (items,)
        p, the probability that an input entry is dropped; one for all items, or one each.
    solver : "als" or "admm"
        "als": B exactly, then A by conjugate gradients, in turns; the objective falls at every iteration. "admm": the
        iteration published with the paper, which is not monotone and can diverge; the best iterate is kept, and
        divergence is told by a ConvergenceWarning.
    max_iterations : int
        Of either solver.
    rtol : float
        "als" ends when an iteration lowers the objective by less than this share of it.
    omega : float
        ω, the penalty of "admm".
    init : "projection" or "random"
        Start from `LREDLAE`, which takes an inverse, or, for "als", from small random numbers: then nothing larger than
        items x k is ever made.
    seed : int
        Of the random start.
    {_COMMON.strip()}

    Attributes
    ----------
    left_, right_ : ndarray, (items, k)
        A and Bᵀ.
    diagonal_ : ndarray of float64, (items,)
        -diag(AB): ``W = left_ right_^T + diag(diagonal_)``.
    objective_ : ndarray of float64, (iterations + 1,)
        f at the start and after every iteration.
    n_iterations_ : int
    item_counts_ : ndarray of float64, (items,)
        d, the diagonal of the Gram matrix. An item that nobody touched is never recommended.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.data.make_interactions(n_users=200, n_items=60, seed=1)
    >>> model = fastlae.LowRankEDLAE(k=8, l2=5.0).fit(X)
    >>> bool((model.objective_[1:] <= model.objective_[:-1]).all())
    True
    """

    objective_: Array
    _also = ("objective_",)

    def __init__(
        self,
        *,
        k: int = 256,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        solver: str = "als",
        max_iterations: int = 20,
        rtol: float = 1e-4,
        omega: float = 500.0,
        init: str = "projection",
        seed: int = 0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l2 = l2
        self.dropout = dropout
        self.solver = solver
        self.max_iterations = max_iterations
        self.rtol = rtol
        self.omega = omega
        self.init = init
        self.seed = seed
        self.user_power = user_power
        self.popularity_power = popularity_power
        self.form = form
        self.storage = storage
        self.tol = tol
        self.dtype = dtype
        self.num_threads = num_threads

    def _check(self, n: int) -> None:
        self._check_common()
        check_rank(self.k, n)
        _check_tol(self.tol)
        check_ridge(self, n)
        check_count(self.max_iterations, "max_iterations")
        check_number(self.rtol, "rtol", 0)
        if self.solver not in ("als", "admm"):
            raise ValueError(f"solver: expected 'als' or 'admm', got {self.solver!r}")
        if self.init not in ("projection", "random"):
            raise ValueError(f"init: expected 'projection' or 'random', got {self.init!r}")
        if not check_number(self.omega, "omega") > 0:
            raise ValueError(f"omega: expected a positive number, got {self.omega!r}")

    def _fit(self, X: Any) -> None:
        csr = as_csr(X, dtype=check_float(self.dtype), nonnegative=True)
        n = csr.shape[1]
        self._check(n)
        p = check_dropout(self.dropout)
        l2 = np.asarray(self.l2, np.float64)
        projection = None
        if self.init == "projection" or self.solver == "admm":
            projection = Projection.fit(csr, self, lambda d: p / (1.0 - p) * d + l2)
            d, ridge, gram = projection.d, projection.ridge, projection.gram
        else:
            weights = user_weights(csr, self.user_power)
            d = gram_diagonal(csr, weights)
            ridge = invertible_ridge(p / (1.0 - p) * d + l2, d)
            gram = GramOperator(csr, weights, resolve_threads(self.num_threads))
        objective = Objective(gram, d, ridge)
        if self.init == "projection":
            assert projection is not None
            A, Bt, _ = projection.lredlae(self.k, self.tol)
        else:
            A, Bt = np.random.default_rng(self.seed).normal(0, 0.01, (2, n, self.k))
        if self.solver == "als":
            A, Bt, values = self._alternate(objective, A, Bt)
        else:
            A, Bt, values = self._admm(objective, projection, A, Bt)
        diagonal = -_rows_dot(A, Bt)
        self._learned(A, Bt, d, diagonal=diagonal, also={"objective_": values})
        _log.info("%r: fitted %d users x %d items, %d iterations", self, *csr.shape, self.n_iterations_)

    @property
    def n_iterations_(self) -> int:
        """Iterations that were made."""
        self._check_fitted("objective_")
        return len(self.objective_) - 1

    def _alternate(self, objective: Objective, A: Array, Bt: Array) -> tuple[Array, Array, Array]:
        HA = objective.times_H(A)
        values = [objective.value(A, Bt, HA)]
        for _ in range(self.max_iterations):
            new_B = objective.best_B(A, HA)
            new_A = objective.better_A(A, new_B, steps=8, tol=1e-4)
            new_HA = objective.times_H(new_A)
            value = objective.value(new_A, new_B, new_HA)
            if not np.isfinite(value) or value >= values[-1]:
                break  # as low as rounding lets it be
            A, Bt, HA = new_A, new_B, new_HA
            values.append(value)
            _log.debug("low-rank EDLAE: iteration %d, objective %.6g", len(values) - 1, value)
            if values[-2] - value < self.rtol * abs(value):
                break
        else:
            reached = (values[-2] - values[-1]) / abs(values[-1])
            warnings.warn(
                f"solver='als' ended after {self.max_iterations} iterations: the last one still lowered the objective "
                f"by {reached:.1e} of it, and rtol={self.rtol:.1e} was asked for",
                ConvergenceWarning,
                stacklevel=4,
            )
        return A, Bt, np.asarray(values)

    def _admm(
        self, objective: Objective, projection: Projection | None, A: Array, Bt: Array
    ) -> tuple[Array, Array, Array]:
        """The published iteration, with a copy β of diag(AB) and a multiplier γ."""
        assert projection is not None
        d, ridge = objective.d, objective.ridge
        penalty = ridge + self.omega  # Ω
        beta, gamma = np.zeros_like(d), np.zeros_like(d)
        HA = objective.times_H(A)
        values = [objective.value(A, Bt, HA)]
        best, best_value, broken = (A, Bt), values[0], ""
        for _ in range(self.max_iterations):
            try:
                # R = G diag(1 + β) + diag(Ω (β - γ)), of which AᵀR and R Bᵀ are needed.
                column, diagonal = 1.0 + beta, penalty * (beta - gamma)
                GA = HA - ridge[:, None] * A
                RtA = column[:, None] * GA + diagonal[:, None] * A
                Bt = _solve(A.T @ (HA + penalty[:, None] * A), RtA.T).T
                RB = objective.gram.items(column[:, None] * Bt) + diagonal[:, None] * Bt
                A = _solve(Bt.T @ Bt, projection.times(RB).T).T
                HA = objective.times_H(A)
                s = _rows_dot(A, Bt)
                GA_B = _rows_dot(HA - ridge[:, None] * A, Bt)
                beta = np.maximum(0.0, (GA_B - d + penalty * (s + gamma)) / (d + penalty - ridge))
                gamma = gamma + s - beta
                value = objective.value(A, Bt, HA)
            except np.linalg.LinAlgError as error:
                broken = f"a k x k system is singular ({error})"
                break
            values.append(value)
            if not np.isfinite(value) or value > 10 * max(abs(values[0]), objective.total):
                broken = f"the objective is {value:.3g}"
                break
            if value < best_value:
                best, best_value = (A, Bt), value
        if broken or best_value == values[0]:
            what = f"diverged in iteration {len(values) - 1}: {broken}" if broken else "never went below its start"
            warnings.warn(
                f"solver='admm' {what}; kept is the best iterate, with objective {best_value:.6g} (start "
                f"{values[0]:.6g}). A larger omega, or solver='als', which falls at every iteration, may do better",
                ConvergenceWarning,
                stacklevel=4,
            )
        return *best, np.asarray(values)


def _rows_dot(a: Array, b: Array) -> Array:
    """Inner products of rows: the diagonal of a bᵀ."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def _solve(K: Array, right: Array) -> Array:
    """K^-1 right for a symmetric positive definite K."""
    factor = scipy.linalg.cho_factor(0.5 * (K + K.T))
    solved: Array = scipy.linalg.cho_solve(factor, right)
    return solved
