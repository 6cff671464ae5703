"""Recommenders with fit, score, recommend and save."""

from __future__ import annotations

from .base import Recommender
from .embedding import EmbeddingModel
from .full_rank import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE
from .io import load
from .item_weights import ItemWeights
from .linear import LinearAutoencoder
from .low_rank_edlae import LowRankEDLAE
from .mf import GRALS, MF
from .neighbours import ItemKNN, UserKNN
from .plrec import PLRec
from .popularity import Popularity
from .projected import LRDEQL, LRDLAE, LREDLAE
from .slim import SLIM
from .spectral import LRR, VLAE, WLAE, MFDropout, NuclearPower, RegularizedPCA
from .spectral_path import SpectralPath
from .vectors import VectorModel
from .wmf import WMF, CoFactor

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "GRALS",
    "LAE",
    "LRDEQL",
    "LRDLAE",
    "LREDLAE",
    "LRR",
    "MF",
    "RDLAE",
    "RLAE",
    "SLIM",
    "VLAE",
    "WLAE",
    "WMF",
    "CoFactor",
    "EmbeddingModel",
    "ItemKNN",
    "ItemWeights",
    "LinearAutoencoder",
    "LowRankEDLAE",
    "MFDropout",
    "NuclearPower",
    "PLRec",
    "Popularity",
    "Recommender",
    "RegularizedPCA",
    "SpectralPath",
    "UserKNN",
    "VectorModel",
    "load",
]
