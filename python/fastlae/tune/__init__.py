"""Choosing hyperparameters."""

from __future__ import annotations

from .sweep import SweepResult, sweep

__all__ = ["SweepResult", "sweep"]
