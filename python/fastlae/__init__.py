"""Linear autoencoders and other shallow recommenders for implicit feedback, on native kernels."""

from __future__ import annotations

from . import data, evaluation, ops
from .errors import CudaError, MemoryNeededError, ModelFileError, NotFittedError, NotPositiveDefiniteError
from .models import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE, Popularity, load
from .tune import SweepResult, sweep

__version__ = "0.1.0"

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "LAE",
    "RDLAE",
    "RLAE",
    "CudaError",
    "MemoryNeededError",
    "ModelFileError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "Popularity",
    "SweepResult",
    "__version__",
    "data",
    "evaluation",
    "load",
    "ops",
    "sweep",
]
