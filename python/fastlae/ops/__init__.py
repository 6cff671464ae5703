"""Stateless functions on arrays, one file per stage. They check, allocate, and call the kernels."""

from __future__ import annotations

from .._packed import PackedSymmetric
from . import spectral
from .factors import recommend_factors, score_factors
from .gram import gram
from .score import score
from .slim import slim
from .spd_inverse import spd_inverse
from .topk import recommend, topk
from .weights import deql_weights, miller_update

__all__ = [
    "PackedSymmetric",
    "deql_weights",
    "gram",
    "miller_update",
    "recommend",
    "recommend_factors",
    "score",
    "score_factors",
    "slim",
    "spd_inverse",
    "spectral",
    "topk",
]
