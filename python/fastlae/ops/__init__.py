"""Stateless functions on arrays, one file per stage. They check, allocate, and call the kernels."""

from __future__ import annotations

from .._packed import PackedSymmetric
from . import spectral
from .factors import recommend_factors, score_factors
from .gram import gram
from .gram_product import gram_product
from .implicit_slim import implicit_slim
from .knn_graph import knn_graph, nearest_neighbours
from .laplacian_eigenmaps import laplacian_eigenmaps
from .netmf import netmf
from .score import score
from .slim import slim
from .slim_lle import slim_lle
from .spd_inverse import inverse_residual, spd_inverse
from .svd_embeddings import svd_embeddings
from .topk import recommend, topk
from .weights import deql_weights, miller_update

__all__ = [
    "PackedSymmetric",
    "deql_weights",
    "gram",
    "gram_product",
    "implicit_slim",
    "inverse_residual",
    "knn_graph",
    "laplacian_eigenmaps",
    "miller_update",
    "nearest_neighbours",
    "netmf",
    "recommend",
    "recommend_factors",
    "score",
    "score_factors",
    "slim",
    "slim_lle",
    "spd_inverse",
    "spectral",
    "svd_embeddings",
    "topk",
]
