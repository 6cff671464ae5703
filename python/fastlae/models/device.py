"""Fitting and recommending on a CUDA device: the items form, in full storage, W in one n x n buffer there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._arrays import DeviceCsr, Place, device_csr, on_cuda, place_of
from .._backend import cuda
from .._sparse import Csr, is_sparse
from ..ops import device
from ..ops.topk import Pair

if TYPE_CHECKING:
    from .linear import LinearAutoencoder


def fit(model: LinearAutoencoder, X: Any, place: Place, dtype: Any) -> tuple[DeviceCsr, dict[str, Any]]:
    """X on the device, and what `model` learns from it.

    Beside the n x n buffer of W, there is memory for X twice and for some panels. n numbers come to the host for the
    diagonals (the diagonals of G and of its inverse), and a row pointer per user where users are weighted.
    """
    from .linear import check_condition, invertible_ridge, user_weights

    if model.form == "users" or model.storage not in ("auto", "full"):
        raise ValueError(
            f"form={model.form!r}, storage={model.storage!r}: on CUDA devices there is the items form in full storage; "
            "device=None has the others"
        )
    shape = X.shape if isinstance(X, DeviceCsr) else np.shape(X)
    if len(shape) == 2:
        require_memory(place, int(shape[0]), int(shape[1]), _entries(X), dtype)
    csr = device_csr(X, place, dtype=dtype, nonnegative=True)
    model._check(csr.shape[1])
    weights = None
    if model.user_power != 0:
        indptr = place.library.to_host(csr.indptr)
        weights = user_weights(Csr(indptr, np.zeros(0, np.int32), None, csr.shape), model.user_power)
    matrix = ops.gram(csr, user_weights=weights, dtype=dtype)
    d = device.diagonal(matrix)
    ridge = invertible_ridge(model._ridge(d), d)
    if not ((d + ridge).max(initial=0.0) < np.finfo(dtype).max):
        raise ValueError(f"X, l2: the diagonal of G + Lambda exceeds what {dtype.name} can hold; scale both down")
    device.add_to_diagonal(matrix, ridge)
    device.invert_in_place(matrix)
    c = device.diagonal(matrix)
    check_condition(c, d + ridge, dtype)
    device.diagonal_weights(matrix, model.final_diagonals(c, d, ridge), out=matrix)
    return csr, {"item_counts_": d, "form_": "items", "storage_": "full", "_weights": matrix}


def _entries(X: Any) -> int:
    return int(X.nnz) if isinstance(X, (Csr, DeviceCsr)) or is_sparse(X) else 0


def require_memory(place: Place, users: int, items: int, nnz: int, dtype: Any) -> None:
    """Raise CudaError if a fit does not fit on the device."""
    tile = cuda().inverse_tile(items)
    panels = cuda().spd_inverse_workspace(items, tile, dtype.itemsize, False)
    needed = items * items * dtype.itemsize + max(panels, cuda().gram_workspace(items, nnz)) + 8 * users + 8 * nnz
    place.require(
        needed,
        f"a fit of {users} users x {items} items in {dtype.name}",
        f"{'float32 needs half; ' if dtype.itemsize == 8 else ''}fewer items need less (n squared).",
    )


def learned_place(weights: Any) -> Place | None:
    """Where learned weights are, if that is a CUDA device."""
    return place_of(weights)


def moved(weights: Any, place: Place) -> Any:
    """Weights of the host on the device."""
    place.require(weights.nbytes, f"the weights of {len(weights)} items", "sparsify() keeps the largest, on the CPU.")
    return place.from_host(weights, weights.dtype)


def score(model: LinearAutoencoder, X: Any) -> NDArray[Any]:
    """X W; on the host if X is."""
    csr, place = _rows(model, X)
    scores = ops.score(csr, model._weights)
    return scores if on_cuda(X) else place.library.to_host(scores)


def recommend(model: LinearAutoencoder, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any) -> Pair:
    """The best k for every row of X; on the host if X is."""
    csr, place = _rows(model, X)
    found: Pair = device.recommend(
        csr,
        model._weights,
        k=k,
        exclude_seen=exclude_seen,
        items=items,
        forbid=forbid,
        never=model.item_counts_ == 0,
    )
    return found if on_cuda(X) else (place.library.to_host(found[0]), place.library.to_host(found[1]))


def _rows(model: LinearAutoencoder, X: Any) -> tuple[DeviceCsr, Place]:
    place = place_of(model._weights, X)
    assert place is not None, "called for a model on a device only"
    csr = device_csr(X, place, dtype=place.library.dtype(model._weights), cols=model.n_items_, nonnegative=True)
    return csr, place
