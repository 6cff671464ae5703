"""Choosing hyperparameters: on a grid at the price of its inverses, or continuously by optuna."""

from __future__ import annotations

from .result import SweepResult
from .search import SearchResult, search
from .sparsity import sparsity
from .sweep import sweep

__all__ = ["SearchResult", "SweepResult", "search", "sparsity", "sweep"]
