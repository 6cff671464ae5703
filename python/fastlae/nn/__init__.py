"""Torch modules and functions. This package alone imports torch."""

from __future__ import annotations

from . import init
from .dlr2 import DLR2
from .implicit_slim import ImplicitSLIMRefresh
from .slim_regularizer import SLIMRegularizer, slim_regularizer

__all__ = ["DLR2", "ImplicitSLIMRefresh", "SLIMRegularizer", "init", "slim_regularizer"]
