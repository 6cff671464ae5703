"""Linear autoencoders and other shallow recommenders for implicit feedback, on native kernels."""

from __future__ import annotations

from . import data, evaluation, ops
from .errors import MemoryNeededError, ModelFileError, NotFittedError, NotPositiveDefiniteError

__version__ = "0.1.0"

__all__ = [
    "MemoryNeededError",
    "ModelFileError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "__version__",
    "data",
    "evaluation",
    "ops",
]
