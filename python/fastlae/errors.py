"""The errors that are fastlae's own."""

from __future__ import annotations

import numpy as np


class NotPositiveDefiniteError(np.linalg.LinAlgError):
    """A matrix has no Cholesky factor. `index` is the first row (the item, for a Gram matrix) at which it fails."""

    index: int

    @classmethod
    def at(cls, index: int) -> NotPositiveDefiniteError:
        """The error for row `index`."""
        error = cls(
            f"the matrix is not positive definite: it fails at row {index}. For a Gram matrix that row is an item; "
            "a larger l2 (or dropout) makes it positive definite"
        )
        error.index = index
        return error


class MemoryNeededError(MemoryError):
    """Something would not fit in memory, noticed before it was begun."""


class NotFittedError(ValueError, AttributeError):
    """A model was used before `fit`."""


class ModelFileError(ValueError):
    """A model file is cut short, altered, not a model at all, or written by a newer version."""


class DataError(ValueError):
    """Interactions that cannot be read or make no sense: the message says which file, line, column or id."""


class UnknownIdError(DataError):
    """An id that no user or item has; the message names those that are close to it."""
