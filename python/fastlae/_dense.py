"""Dense weights as the kernels take them, in whatever precision they are stored."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._backend import core_for


def stored_weights(W: Any, name: str = "W") -> tuple[NDArray[Any], np.dtype[Any]]:
    """Check dense weights; the same memory as an array, and the dtype that products with it are summed in.

    NumPy arrays of float32, float64 or float16 stay as they are. bfloat16 (an array with that dtype of ml_dtypes, or a
    torch tensor) becomes the uint16 of its bits, which is how the compiled module takes it.
    """
    core_for(W)
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is not None and isinstance(W, torch.Tensor) and W.dtype == torch.bfloat16:
        bits = W.detach().view(torch.int16).numpy().view(np.uint16)
    elif not isinstance(W, np.ndarray):
        raise TypeError(
            f"{name}: expected a NumPy array, a torch tensor of bfloat16 or a scipy sparse matrix, "
            f"got {type(W).__name__}"
        )
    elif W.dtype in (np.float32, np.float64, np.float16):
        bits = W
    elif W.dtype.name == "bfloat16":
        bits = W.view(np.uint16)
    else:
        raise TypeError(
            f"{name}: expected a matrix of float32, float64, float16 or bfloat16, got {W.dtype} "
            f"with {W.ndim} dimension(s)"
        )
    if bits.ndim != 2:
        raise TypeError(f"{name}: expected a matrix, got {W.dtype} with {bits.ndim} dimension(s)")
    return bits, np.dtype(np.float64 if bits.dtype == np.float64 else np.float32)
