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


class ConvergenceWarning(UserWarning):
    """An iteration ended before it was as accurate as asked for; the message says what was reached."""


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


class CudaError(RuntimeError):
    """Something about the GPU: no driver, no device, no code for it, no memory; the message says what to do."""

    @classmethod
    def from_runtime(cls, code: int, message: str) -> CudaError:
        """The error for a code of the CUDA runtime (cudaError_t; 0 if it is not from there)."""
        advice = _CUDA_ADVICE.get(code)
        return cls(f"{message} (CUDA error {code}). {advice}" if advice else message)


_CPU = "or use the CPU: arrays of NumPy and SciPy, device=None"
_NO_DRIVER = (
    "Either there is no NVIDIA driver here, or it is older than this build needs (CUDA 13: driver 580 or newer; "
    f"nvidia-smi shows it): update the driver, build fastlae with an older nvcc, {_CPU}"
)
_NO_CODE = (
    "This build of fastlae has no code for this GPU: build it for it (pip install with "
    f"-C cmake.define.FASTLAE_CUDA_ARCHS=native), {_CPU}"
)
_CUDA_ADVICE = {
    2: f"The GPU's memory is used up: free arrays of other libraries, take smaller pieces or float32, {_CPU}",
    35: _NO_DRIVER,
    98: _NO_CODE,
    100: f"No GPU is visible to this process (CUDA_VISIBLE_DEVICES?): make one visible, {_CPU}",
    101: "There is no GPU of that number: device='cuda' takes the first",
    209: _NO_CODE,
    222: _NO_CODE,
}
