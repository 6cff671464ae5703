"""Recommenders with fit, score, recommend and save."""

from __future__ import annotations

from .base import Recommender
from .full_rank import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE
from .io import load
from .linear import LinearAutoencoder
from .popularity import Popularity

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "LAE",
    "RDLAE",
    "RLAE",
    "LinearAutoencoder",
    "Popularity",
    "Recommender",
    "load",
]
