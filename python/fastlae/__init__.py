"""Linear autoencoders and other shallow recommenders for implicit feedback, on native kernels."""

from __future__ import annotations

from . import data, evaluation, ops
from .data import Interactions
from .errors import (
    ConvergenceWarning,
    CudaError,
    DataError,
    MemoryNeededError,
    ModelFileError,
    NotFittedError,
    NotPositiveDefiniteError,
    UnknownIdError,
)
from .models import (
    DEQL,
    DLAE,
    EASE,
    EDLAE,
    LAE,
    LRDEQL,
    LRDLAE,
    LREDLAE,
    LRR,
    RDLAE,
    RLAE,
    SLIM,
    VLAE,
    WLAE,
    LowRankEDLAE,
    MFDropout,
    NuclearPower,
    Popularity,
    RegularizedPCA,
    SpectralPath,
    load,
)
from .tune import SweepResult, sweep

__version__ = "0.1.0"

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "LAE",
    "LRDEQL",
    "LRDLAE",
    "LREDLAE",
    "LRR",
    "RDLAE",
    "RLAE",
    "SLIM",
    "VLAE",
    "WLAE",
    "ConvergenceWarning",
    "CudaError",
    "DataError",
    "Interactions",
    "LowRankEDLAE",
    "MFDropout",
    "MemoryNeededError",
    "ModelFileError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "NuclearPower",
    "Popularity",
    "RegularizedPCA",
    "SpectralPath",
    "SweepResult",
    "UnknownIdError",
    "__version__",
    "data",
    "evaluation",
    "load",
    "ops",
    "sweep",
]
