"""The ops of factor models, of SLIM and of ranking metrics for arrays on CUDA devices; compare `device`.

Results of `als_rows` and of the scores lie on the device; SLIM's sparse weights and the metrics' sums come to the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import DeviceCsr, Place, device_csr, on_cuda, on_their_device, place_of, transfer
from .._backend import cuda
from .._sparse import Csr
from ..errors import NotPositiveDefiniteError
from .device import BLOCK_BYTES, check_symmetric
from .topk import check_count
from .weights import check_numbers

_VECTOR_BYTES = 96 << 10  # csrc/cuda/als.cu: nine vectors of a row, in what all devices have of shared memory
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _factors(P: Any, E: Any, bias: Any) -> tuple[Place, Any, Any]:
    """Where they are, their dtype, and the bias there."""
    place = place_of(P, E)
    assert place is not None, "called for arrays on a CUDA device only"
    for name, array in (("P", P), ("E", E)):
        if not on_cuda(array) or isinstance(array, DeviceCsr) or len(array.shape) != 2:
            raise TypeError(
                f"{name}: expected a matrix on CUDA device {place.device}, where the other is, got "
                f"{type(array).__name__}"
            )
        if place.library.dtype(array) not in _FLOATS:
            raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    dtype = place.library.dtype(P)
    if place.library.dtype(E) != dtype:
        raise TypeError(f"P, E: expected one dtype, got {P.dtype} and {E.dtype}")
    if P.shape[1] != E.shape[1]:
        raise ValueError(f"P: expected {E.shape[1]} columns, as E has, got shape {tuple(P.shape)}")
    if bias is not None and not on_cuda(bias):
        bias = place.from_host(check_numbers(bias, "bias"), dtype)
    if bias is not None and tuple(bias.shape) != (int(E.shape[0]),):
        raise ValueError(f"bias: expected shape ({int(E.shape[0])},), got {tuple(bias.shape)}")
    return place, dtype, bias


@on_their_device
def recommend_factors(P: Any, E: Any, *, k: int, bias: Any, hidden: Any, columns: Any) -> Any:
    """The k best of every row of P E^T + bias; waits once where `hidden` is on the device."""
    place, _, bias = _factors(P, E, bias)
    n = int(E.shape[0])
    if columns is not None:
        host = np.asarray(place.library.to_host(columns) if on_cuda(columns) else columns)
        if host.dtype != np.bool_:
            raise TypeError(f"columns: expected a vector of bool, got {host.dtype}")
        if host.shape != (n,):
            raise ValueError(f"columns: expected shape ({n},), got {host.shape}")
        columns = place.from_host(host, np.uint8)
    seen = None
    if hidden is not None:
        csr = device_csr(hidden, place, "hidden", dtype=np.float32, cols=n)
        if csr.shape[0] != int(P.shape[0]):
            raise ValueError(f"hidden: expected {int(P.shape[0])} rows, got {csr.shape[0]}")
        seen = csr[:2]
    return recommend_factors_checked(P, E, k, bias, seen, columns)


@on_their_device
def recommend_factors_checked(P: Any, E: Any, k: int, bias: Any, seen: Any, columns: Any) -> Any:
    """`recommend_factors` after its checks: `seen` and `columns` as `fastlae.ops.device.Hiding` has them."""
    place = place_of(P, E)
    assert place is not None, "called for arrays on a CUDA device only"
    check_count(k, "k")
    users, n, itemsize = int(P.shape[0]), int(E.shape[0]), place.library.dtype(P).itemsize
    size = cuda().factors_workspace(users, n, int(k), itemsize)
    place.require(
        users * k * 8 + size, f"{k} items for each of {users} users", "Fewer users, or a smaller k, need less."
    )
    items, best = place.empty((users, int(k)), np.int32), place.empty((users, int(k)), np.float32)
    cuda().recommend_factors(P, E, bias, seen, columns, items, best, place.workspace(size), place.stream)
    return items, best


@on_their_device
def score_factors(P: Any, E: Any, *, bias: Any, out: Any) -> Any:
    """P E^T + bias; does not wait."""
    place, dtype, bias = _factors(P, E, bias)
    shape = (int(P.shape[0]), int(E.shape[0]))
    if out is None:
        place.require(
            shape[0] * shape[1] * dtype.itemsize,
            f"scores of shape {shape}",
            "Score fewer users at a time, or recommend_factors().",
        )
        out = place.empty(shape, dtype)
    elif not on_cuda(out) or tuple(out.shape) != shape or place.library.dtype(out) != dtype:
        raise ValueError(f"out: expected an array of {dtype} and shape {shape} on CUDA device {place.device}")
    cuda().score_factors(P, E, bias, out, place.stream)
    return out


@on_their_device
def als_rows(terms: Any, shared: Any, ridge: Any, P: Any, *, prior: Any, steps: int) -> None:
    """Rows of `P` <- solutions of their problems; waits where they are solved exactly (steps = 0)."""
    place = place_of(P)
    assert place is not None, "called for arrays on a CUDA device only"
    dtype = place.library.dtype(P)
    rows, dim = (int(size) for size in P.shape)
    most = _VECTOR_BYTES // (9 * dtype.itemsize)
    if dim > most:
        raise ValueError(f"P: expected at most {most} dimensions on a CUDA device, got {dim}; the CPU takes any number")
    parts: list[tuple[Any, ...]] = []
    for X, factors, weight, targets, offset in terms:
        values = None if X.values is None else place.library.astype(X.values * weight, dtype)
        if targets is not None:
            targets = place.from_host(targets, dtype)
        parts.append((X.indptr, X.indices, values, float(weight), targets, float(offset), factors))
    diagonal = place.from_host(np.broadcast_to(ridge, rows), dtype)
    size = cuda().als_rows_workspace(rows, dim, steps, dtype.itemsize)
    place.require(size, f"a sweep over {rows} vectors of {dim} dimensions", "Fewer dimensions need less.")
    info = place.empty(1, np.int32)
    cuda().als_rows(parts, shared, diagonal, prior, P, steps, info, place.workspace(size), place.stream)
    if steps == 0 and (row := int(place.number(info))) >= 0:
        raise NotPositiveDefiniteError.at(row)


Columns = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]


def check_gram(gram: Any) -> Any:
    """The dtype of a symmetric matrix on a device; waits."""
    place = place_of(gram)
    assert place is not None, "called for arrays on a CUDA device only"
    dtype = None if isinstance(gram, DeviceCsr) else place.library.dtype(gram)
    if dtype not in _FLOATS or len(gram.shape) != 2:
        raise TypeError("gram: expected a dense matrix of float32 or float64")
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f"gram: expected a square matrix, got shape {tuple(gram.shape)}")
    check_symmetric(gram, "gram", place)
    return dtype


@on_their_device
def slim(
    gram: Any,
    *,
    l1: float,
    l2: float,
    nonnegative: bool,
    tol: float,
    max_sweeps: int,
    start: Columns | None,
    misses: NDArray[np.float64],
) -> Columns:
    """SLIM's weights by columns, in host memory, and into `misses` by how much each misses; waits for some at a time.

    `start` is a matrix of the host, as (indptr, indices, values) by columns.
    """
    place = place_of(gram)
    assert place is not None, "called for arrays on a CUDA device only"
    library, dtype, n = place.library, place.library.dtype(gram), int(gram.shape[0])
    begin = None
    if start is not None:
        begin = transfer(Csr(start[0], start[1], start[2], (n, n)), place, dtype)[:3]
    step = max(1, min(n, int(BLOCK_BYTES / max(1, n * (4 + dtype.itemsize)))))
    size = cuda().slim_workspace(n, step)
    place.require(step * n * (4 + dtype.itemsize) + size, f"SLIM's weights for {n} items", "Fewer items need less.")
    items, values, room = place.empty(step * n, np.int32), place.empty(step * n, dtype), place.workspace(size)
    counts, found_items, found_values = np.zeros(n, np.int64), [], []
    for first in range(0, n, step):
        count = min(step, n - first)
        starts, sizes = place.empty(count, np.int64), place.empty(count, np.int32)
        violations, total = place.empty(count, np.float64), place.empty(1, np.int64)
        cuda().slim(
            gram,
            l1,
            l2,
            nonnegative,
            tol,
            max_sweeps,
            begin,
            first,
            count,
            starts,
            sizes,
            violations,
            total,
            items[: count * n],
            values[: count * n],
            room,
            place.stream,
        )
        own, all_ = library.to_host(sizes).astype(np.int64), int(place.number(total))
        ends = np.cumsum(own)
        # Columns lie in the order in which they were done.
        order = np.repeat(library.to_host(starts) - (ends - own), own) + np.arange(all_)
        found_items.append(library.to_host(items[:all_])[order])
        found_values.append(library.to_host(values[:all_])[order])
        counts[first : first + count] = own
        misses[first : first + count] = library.to_host(violations)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    nothing = np.zeros(0, np.int32), np.zeros(0, dtype)
    return indptr, np.concatenate([nothing[0], *found_items]), np.concatenate([nothing[1], *found_values])


@on_their_device
def ranking_sums(
    top: Any, targets: Csr, cutoffs: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What ranking metrics count, as arrays of the host (users, cutoffs); waits.

    `top` is a matrix of int32 on the device, `cutoffs` ascend.
    """
    place = place_of(top)
    assert place is not None, "called for arrays on a CUDA device only"
    out = [place.empty((int(top.shape[0]), len(cutoffs)), np.float64) for _ in range(4)]
    indptr, indices = place.from_host(targets.indptr, np.int64), place.from_host(targets.indices, np.int32)
    cuda().ranking_sums(top, indptr, indices, place.from_host(cutoffs, np.int32), *out, place.stream)
    hits, dcg, precision, reciprocal_rank = (place.library.to_host(part) for part in out)
    return hits, dcg, precision, reciprocal_rank
