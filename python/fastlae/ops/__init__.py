"""Stateless functions on arrays, one file per stage. They check, allocate, and call the kernels."""

from __future__ import annotations

from .gram import gram
from .spd_inverse import spd_inverse

__all__ = ["gram", "spd_inverse"]
