"""Torch modules and functions. This package alone imports torch."""

from __future__ import annotations

from . import functional
from .implicit_slim import ImplicitSLIMRefresh
from .slim_regularizer import SLIMRegularizer, slim_regularizer

__all__ = ["ImplicitSLIMRefresh", "SLIMRegularizer", "functional", "slim_regularizer"]
