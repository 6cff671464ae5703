"""Choosing hyperparameters: on a grid at the price of its inverses, or continuously by optuna."""

from __future__ import annotations

from .result import SweepResult
from .search import SearchResult, search
from .sparsity import sparsity
from .sweep import can_sweep, sweep

__all__ = ["SearchResult", "SweepResult", "can_sweep", "search", "sparsity", "sweep"]
