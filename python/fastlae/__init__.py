"""Linear autoencoders and other shallow recommenders for implicit feedback, on native kernels."""

from __future__ import annotations

from . import ops
from .errors import MemoryNeededError, ModelFileError, NotFittedError, NotPositiveDefiniteError
from .models import DEQL, DLAE, EASE, EDLAE, LAE, RDLAE, RLAE, Popularity, load

__version__ = "0.1.0"

__all__ = [
    "DEQL",
    "DLAE",
    "EASE",
    "EDLAE",
    "LAE",
    "RDLAE",
    "RLAE",
    "MemoryNeededError",
    "ModelFileError",
    "NotFittedError",
    "NotPositiveDefiniteError",
    "Popularity",
    "__version__",
    "load",
    "ops",
]
