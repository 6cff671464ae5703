"""Interactions: read, made up, and cut into parts to train and to test on."""

from __future__ import annotations

from .interactions import Interactions
from .protocols import Split, split
from .public import DATASETS, load_dataset, load_split
from .splits import StrongSplit, split_strong, split_weak
from .synthetic import make_interactions

__all__ = [
    "DATASETS",
    "Interactions",
    "Split",
    "StrongSplit",
    "load_dataset",
    "load_split",
    "make_interactions",
    "split",
    "split_strong",
    "split_weak",
]
