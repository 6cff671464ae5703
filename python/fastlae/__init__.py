"""Linear autoencoders and other shallow recommenders for implicit feedback, on native kernels."""

from __future__ import annotations

from . import data, evaluation, ops, tune
from ._progress import set_progress
from .data import Interactions
from .errors import (
    CudaError,
    DataError,
    MemoryNeededError,
    ModelFileError,
    NotFittedError,
    NotPositiveDefiniteError,
    UnknownIdError,
)
from .models import DEQL, DLAE, EASE, EDLAE, GRALS, LAE, MF, RDLAE, RLAE, WMF, CoFactor, PLRec, Popularity, load
from .tune import SweepResult, sweep

__version__ = "0.1.0"

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "GRALS",
    "LAE",
    "MF",
    "RDLAE",
    "RLAE",
    "WMF",
    "CoFactor",
    "CudaError",
    "DataError",
    "Interactions",
    "MemoryNeededError",
    "ModelFileError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "PLRec",
    "Popularity",
    "SweepResult",
    "UnknownIdError",
    "__version__",
    "data",
    "evaluation",
    "load",
    "ops",
    "set_progress",
    "sweep",
    "tune",
]
