"""Choosing hyperparameters."""

from __future__ import annotations

from .sweep import SweepResult, can_sweep, sweep

__all__ = ["SweepResult", "can_sweep", "sweep"]
