"""Half a sweep of alternating least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._arrays import DeviceCsr, on_cuda
from .._backend import core_for
from .._sparse import Csr


class Term(NamedTuple):
    """What the entries of a sparse matrix add to the problem of their row.

    Entry k, in column c, weighs w_k more than a missing one: it adds w_k f_c f_c^T to the row's matrix and t_k f_c to
    its right side. The w_k are `weights` times the values of `X`, the t_k are `targets`, or w_k + offset.
    """

    X: Csr | DeviceCsr
    factors: NDArray[Any]
    weight: float = 1.0
    targets: NDArray[Any] | None = None
    offset: float = 1.0


def als_rows(
    terms: list[Term],
    shared: NDArray[Any],
    ridge: Any,
    P: NDArray[Any],
    *,
    prior: NDArray[Any] | None = None,
    steps: int,
    num_threads: int,
) -> None:
    """Every row of `P` <- the solution p of (shared + ridge I + sum_k w_k f_k f_k^T) p = sum_k t_k f_k + prior.

    By `steps` steps of conjugate gradients from the row as it is; steps = 0 by Cholesky's factorisation. The result is
    the same, bit for bit, for any number of threads. On a device where `P` is: matrices and vectors of factors must be
    there, too; `ridge` and targets are of the host.
    """
    if on_cuda(P):
        from . import device_solvers

        device_solvers.als_rows(terms, shared, ridge, P, prior=prior, steps=steps)
        return
    dtype = P.dtype
    parts: list[tuple[Any, ...]] = []
    for X, factors, weight, targets, offset in terms:
        values = None if X.values is None else (X.values * weight).astype(dtype, copy=False)
        if targets is not None:
            targets = np.ascontiguousarray(targets, dtype)
        parts.append((X.indptr, X.indices, values, float(weight), targets, float(offset), factors))
    diagonal = np.ascontiguousarray(np.broadcast_to(ridge, len(P)), dtype)
    square = np.ascontiguousarray(shared, dtype)
    core_for(P).als_rows(parts, square, diagonal, prior, P, steps, num_threads)
