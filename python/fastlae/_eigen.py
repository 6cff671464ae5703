"""Leading eigenpairs of symmetric matrices that are known by their products: block Lanczos with thick restarts.

Where hundreds or thousands of eigenvectors are wanted, a solver spends its time on keeping its basis orthogonal. One
vector at a time (ARPACK) that is bound by memory; by blocks it is matrix products. bench/lowrank.py has both times.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from . import _memory
from .errors import ConvergenceWarning

Array = NDArray[np.float64]
_log = logging.getLogger("fastlae")
BLOCK = 32  # vectors that a product takes at a time
EXTRA, SIZE = 0.1, 1.5  # what a restart keeps beyond k, and what is added to that before the next: shares of k
DENSE = 1500  # up to this order a dense solver is always as fast


class Eigenpairs(NamedTuple):
    """Eigenvalues, largest first (k,), their vectors as columns (n, k), and the largest ‖A v - θ v‖ / θ."""

    values: Array
    vectors: Array
    residual: float


def pays_dense(n: int, k: int) -> bool:
    """Whether a dense solver is as fast as block Lanczos for k eigenpairs of order n (measured, bench/lowrank.py)."""
    return n <= DENSE or (k > 0.1 * n and n <= 12_000)


def dense_eigenpairs(A: Array, k: int) -> Eigenpairs:
    """The k largest of a dense matrix, which is destroyed."""
    n = len(A)
    _memory.require(A.nbytes + 16 * n * k, f"eigenvectors of a dense matrix of order {n}", "A smaller k needs less.")
    if k < n:
        values, vectors = scipy.linalg.eigh(A, subset_by_index=(n - k, n - 1), overwrite_a=True, check_finite=False)
    else:
        values, vectors = scipy.linalg.eigh(A, driver="evd", overwrite_a=True, check_finite=False)
    return Eigenpairs(values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1]), 0.0)


def leading_eigenpairs(
    apply: Callable[[Array], Array], n: int, k: int, *, tol: float, max_restarts: int = 30, floor: float = 1e-11
) -> Eigenpairs:
    """The k largest eigenpairs of a positive semidefinite matrix of order n, ``apply(V)`` being its product with V.

    A pair is taken when ‖A v - θ v‖ <= tol θ + floor θ_1. Warns (ConvergenceWarning, with the residual reached) if
    some are not after `max_restarts`.
    """
    b = min(BLOCK, max(4, k // 4))
    # Whole blocks: the residual of the last one is all that A adds to the basis, and a restart goes on from there.
    keep = -(-int((1 + EXTRA) * k) // b) * b  # Ritz vectors that a restart keeps
    size = keep + max(2, -(-int(SIZE * k) // b)) * b
    if 2 * size > n:
        return dense_eigenpairs(_as_matrix(apply, n, b), k)
    needed = 8 * n * (size + keep + 4 * b)
    _memory.require(needed, f"{k} eigenvectors of order {n}", "A smaller k needs less.")
    rng = np.random.default_rng(0)  # always the same start: a fit can be repeated
    Q = np.empty((n, size), order="F")
    T = np.zeros((size, size))
    count = 0  # columns of Q that A has been applied to
    block = np.linalg.qr(rng.standard_normal((n, b)))[0]
    coupling = np.zeros((b, b))
    for restart in range(max_restarts + 1):
        while count < size:
            Q[:, count : count + b] = block
            basis = Q[:, : count + b]
            W = np.asarray(apply(np.ascontiguousarray(block)))
            h = basis.T @ W
            W = W - basis @ h
            again = basis.T @ W  # a second time, since the first leaves rounding behind
            W -= basis @ again
            h += again
            T[: count + b, count : count + b] = h
            T[count : count + b, : count + b] = h.T
            count += b
            block, coupling = _orthonormal(W, Q[:, :count], abs(T[:count, :count]).max(initial=0.0), rng)
        theta, Y = scipy.linalg.eigh(T[:count, :count], check_finite=False)
        theta, Y = theta[::-1], Y[:, ::-1]
        norms = np.linalg.norm(coupling @ Y[count - b :, :k], axis=0)
        top = max(theta[0], np.finfo(float).tiny)
        open_ = norms > tol * np.maximum(theta[:k], 0) + floor * top
        relative = float((norms / np.maximum(theta[:k], 1e-10 * top)).max(initial=0.0))
        _log.debug("eigenpairs: restart %d, %d of %d open, residual %.1e", restart, open_.sum(), k, relative)
        if not open_.any() or restart == max_restarts:
            break
        kept = Q[:, :count] @ Y[:, :keep]
        # The pairs that are kept are coupled to the next block by the last rows of Y.
        T[:] = 0
        T[np.arange(keep), np.arange(keep)] = theta[:keep]
        Q[:, :keep] = kept
        count = keep
    if open_.any():
        warnings.warn(
            f"{int(open_.sum())} of {k} eigenpairs did not converge in {max_restarts} restarts: the largest residual "
            f"is {relative:.1e} of its eigenvalue, and {tol:.1e} was asked for",
            ConvergenceWarning,
            stacklevel=3,
        )
    return Eigenpairs(np.maximum(theta[:k], 0.0), Q[:, :count] @ Y[:, :k], relative)


def _as_matrix(apply: Callable[[Array], Array], n: int, b: int) -> Array:
    _memory.require(8 * n * n, f"a dense matrix of order {n}", "A smaller k needs an iteration instead.")
    A = np.empty((n, n))
    for begin in range(0, n, b):
        unit = np.zeros((n, min(b, n - begin)))
        unit[np.arange(begin, begin + unit.shape[1]), np.arange(unit.shape[1])] = 1.0
        A[:, begin : begin + unit.shape[1]] = apply(unit)
    return 0.5 * (A + A.T)


def _orthonormal(W: Array, Q: Array, scale: float, rng: Any) -> tuple[Array, Array]:
    """An orthonormal basis of W's columns and their coordinates in it; where W has no more to give, a new start."""
    block, R = np.linalg.qr(W)
    spent = abs(R.diagonal()) <= 1e-12 * scale
    if spent.any():
        block[:, spent] = rng.standard_normal((len(W), int(spent.sum())))
        for _ in range(2):
            block -= Q @ (Q.T @ block)
            block = np.linalg.qr(block)[0]
        R = block.T @ W
    return block, R
