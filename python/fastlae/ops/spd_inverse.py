"""Inverse of a symmetric positive definite matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._packed import PackedSymmetric, native
from .._threads import resolve_threads

TILE = 480  # largest tile, in rows (csrc/cpu/spd_inverse.cpp)
SYMMETRY = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-10}


def spd_inverse(
    a: Any,
    *,
    overwrite_a: bool = False,
    out: NDArray[Any] | None = None,
    tensor_cores: bool = False,
    refine: bool = False,
    num_threads: int = 0,
) -> Any:
    """Inverse of a symmetric positive definite matrix, by Cholesky, in one n x n buffer.

    Half the work of a general inverse and, with `overwrite_a`, no second copy: the working memory is at most 1920 n
    numbers. The order n is limited by memory only.

    Parameters
    ----------
    a : array_like, (n, n), or PackedSymmetric
        float32 or float64, symmetric. The inverse of a packed matrix is packed, and the same bit for bit.
    overwrite_a : bool
        Compute in the memory of `a`, which must then be a C-ordered, writable array. If an error is raised after the
        checks of the arguments, `a` is destroyed.
    out : ndarray, (n, n), optional
        Written instead of a new array; may be `a`.
    tensor_cores : bool
        On a CUDA device, for float32: large products on tensor cores, each factor as the sum of two TF32 numbers, three
        of the four products. What is left out is at most 3 * 2**-22 of the product of the factors' magnitudes, beside
        float32's own 2**-24; tensor cores also cut sums short, by up to 2**-23 for every eight products.
        `inverse_residual` says what came of it. Needs cuBLAS.
    refine : bool
        On a CUDA device: a step of Newton's method afterwards, c + c (1 - a c), by products in the type of `a`. Takes
        4 n**3 operations more, and `a` must be kept.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    ndarray, (n, n), or PackedSymmetric
        Exactly symmetric.

    Raises
    ------
    NotPositiveDefiniteError
        With the row at which the factorisation fails.
    ValueError, TypeError
        If `a` is not square, not finite, not symmetric or not floating.

    Notes
    -----
    Equivalent to ``numpy.linalg.inv(a)``. In float32 the relative error grows with the condition number of
    ``D a D``, D the diagonal scaling that makes its diagonal 1: about 1e-7 times it.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> fastlae.ops.spd_inverse(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    threads = resolve_threads(num_threads)
    if on_cuda(a, out):
        from . import device

        return device.spd_inverse(a, overwrite_a=overwrite_a, out=out, tensor_cores=tensor_cores, refine=refine)
    if tensor_cores or refine:
        raise ValueError("tensor_cores, refine: for arrays on a CUDA device")
    if isinstance(a, PackedSymmetric):
        if out is not None:
            raise ValueError("out: not for a packed matrix; overwrite_a=True computes in its memory")
        if not all(np.isfinite(strip).all() for _, strip in a.strips()):
            raise ValueError("a: expected finite numbers, got NaN or infinity")
        packed = a if overwrite_a else a.copy()
        invert_in_place(packed, threads)
        return packed
    source = np.asarray(a)
    if source.ndim != 2 or source.shape[0] != source.shape[1]:
        raise ValueError(f"a: expected a square matrix, got shape {source.shape}")
    if source.dtype not in (np.float32, np.float64):
        raise TypeError(f"a: expected float32 or float64, got {source.dtype}")
    target = "out"
    if overwrite_a and out is None:
        if source is not a:
            raise TypeError("a: overwrite_a needs a NumPy array")
        target, out = "a", source
    if out is None:
        _memory.require(
            source.nbytes + workspace(len(source), source.itemsize),
            f"the inverse of a matrix of order {len(source)}",
            "overwrite_a=True needs no second matrix.",
        )
        out = np.empty(source.shape, source.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != source.dtype or out.shape != source.shape:
        raise ValueError(f"out: expected a NumPy array of {source.dtype} and shape {source.shape}")
    if not (out.flags.c_contiguous or (out.strides[1] == out.itemsize and out.strides[0] >= out.itemsize * len(out))):
        raise ValueError(f"{target}: rows must be contiguous (C order)")
    if not out.flags.writeable:
        raise ValueError(f"{target}: the array is read-only")
    core = core_for(a, out)
    if out is not source:
        np.copyto(out, source)
    skew = core.asymmetry(out, threads)
    if np.isnan(skew):
        raise ValueError("a: expected finite numbers, got NaN or infinity")
    if skew > SYMMETRY[source.dtype]:
        raise ValueError(f"a: expected a symmetric matrix; a[i, j] and a[j, i] differ by {skew:.1e} of the diagonal")
    invert_in_place(out, threads)
    return out


def workspace(n: int, itemsize: int, tile: int = TILE) -> int:
    """Bytes that an inverse of order n takes beside its matrix: panels of this step and of the next, in two layouts,
    and a few tiles, of which one is each thread's.
    """
    tile = min(n, tile)
    return (4 * n + (3 + resolve_threads(0)) * tile) * tile * itemsize


def inverse_tile(n: int) -> int:
    """Rows of a tile that suit a matrix of order n."""
    return int(core_for().inverse_tile(n))


def invert_in_place(a: NDArray[Any] | PackedSymmetric, num_threads: int) -> None:
    """`spd_inverse` over `a` itself, for a matrix that is known to be finite and symmetric."""
    values, n, tile = native(a)
    if n >= 4096:  # asking the system takes as long as a small inverse
        needed = workspace(n, values.itemsize, tile or TILE)
        _memory.require(needed, f"the panels of an inverse of order {n}", "Smaller matrices need less.")
    core_for(a).spd_inverse(values, n, tile, num_threads)


def inverse_residual(a: Any, c: Any, *, columns: int = 64) -> float:
    """How far `c` is from the inverse of `a`: the largest entry of ``|1 - a c|`` in some of its columns.

    Parameters
    ----------
    a, c : array_like, (n, n)
        float32 or float64, on the host or on a CUDA device.
    columns : int
        How many, spread evenly over the matrix; n or more means all.

    Returns
    -------
    float
        Summed in float64 on the host, in the arrays' own type on a device.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``abs(numpy.eye(n) - a @ c)[:, some].max()``.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> a = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> fastlae.ops.inverse_residual(a, fastlae.ops.spd_inverse(a)) < 1e-15
    True
    """
    from .topk import check_count  # which comes after this module

    count = check_count(columns, "columns")
    if not on_cuda(a, c):
        a, c = np.asarray(a), np.asarray(c)
    shape = tuple(a.shape)
    if len(shape) != 2 or shape[0] != shape[1] or tuple(c.shape) != shape:
        raise ValueError(f"a, c: expected two square matrices of one order, got {shape} and {tuple(c.shape)}")
    if not shape[0]:
        return 0.0
    picks = np.unique(np.linspace(0, shape[0] - 1, min(count, shape[0])).astype(np.int64))
    if on_cuda(a, c):
        from . import device

        return float(device.inverse_residual(a, c, picks))
    picked, worst = c[:, picks].astype(np.float64), 0.0
    for begin in range(0, shape[0], 1024):
        rows = np.arange(begin, min(begin + 1024, shape[0]))
        miss = (rows[:, None] == picks) - a[rows].astype(np.float64) @ picked
        worst = max(worst, float(np.abs(miss).max()))
    return worst
