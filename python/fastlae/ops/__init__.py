"""Stateless functions on arrays, one file per stage. They check, allocate, and call the kernels."""

from __future__ import annotations

from .._packed import PackedSymmetric
from .gram import gram
from .score import score
from .spd_inverse import inverse_residual, spd_inverse
from .topk import recommend, topk
from .weights import deql_weights, miller_update

__all__ = [
    "PackedSymmetric",
    "deql_weights",
    "gram",
    "inverse_residual",
    "miller_update",
    "recommend",
    "score",
    "spd_inverse",
    "topk",
]
