"""Recommenders with fit, score, recommend and save."""

from __future__ import annotations

from .base import Recommender
from .embedding import EmbeddingModel
from .full_rank import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE
from .io import load
from .linear import LinearAutoencoder
from .mf import GRALS, MF
from .plrec import PLRec
from .popularity import Popularity
from .wmf import WMF, CoFactor

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "GRALS",
    "LAE",
    "MF",
    "RDLAE",
    "RLAE",
    "WMF",
    "CoFactor",
    "EmbeddingModel",
    "LinearAutoencoder",
    "PLRec",
    "Popularity",
    "Recommender",
    "load",
]
