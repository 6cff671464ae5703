"""Interactions: made up, and cut into parts to train and to test on."""

from __future__ import annotations

from .splits import StrongSplit, split_strong, split_weak
from .synthetic import make_interactions

__all__ = ["StrongSplit", "make_interactions", "split_strong", "split_weak"]
