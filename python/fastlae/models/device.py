"""Fitting and recommending on a CUDA device, by the items or the users form, in full storage.

Packed storage is for the host alone: float32 in full reaches an order of 130,000 in 80 GB and 180,000 in 141 GB, where
one inverse already takes a minute or more, and products of full matrices are what tensor cores and cuBLAS are fast at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import ops
from .._arrays import DeviceCsr, Place, device_csr, on_cuda, place_of, transfer
from .._sparse import Csr, as_csr, is_sparse
from ..ops import device
from ..ops.topk import Pair
from .device_inverse import DeviceItemsInverse, DeviceUsersInverse, choose_form, to_device
from .inverse import UsersInverse

if TYPE_CHECKING:
    from .linear import LinearAutoencoder


def fit(model: LinearAutoencoder, X: Any, place: Place, dtype: Any) -> tuple[DeviceCsr, dict[str, Any]]:
    """X on the device, and what `model` learns from it.

    Beside the inverse, there is memory for X twice and for some panels; W lies in the memory of C. n numbers come to
    the host for the diagonals (those of G and of its inverse), and a row pointer per user where users are weighted. The
    users form needs the diagonal of G first, so an X of the device is copied to the host once.
    """
    from .linear import check_condition, gram_diagonal, invertible_ridge, user_weights

    if model.storage not in ("auto", "full"):
        raise ValueError(
            f"storage={model.storage!r}: on CUDA devices there is full storage; device=None has the others"
        )
    if model.form not in ("auto", "items", "users"):
        model._check(0)  # says what is wrong
    given = X if isinstance(X, (DeviceCsr, Csr)) or on_cuda(X) else as_csr(X, dtype=dtype, nonnegative=True)
    nnz = int(given.nnz) if isinstance(given, (Csr, DeviceCsr)) else _entries(given)
    users, items = (int(size) for size in given.shape)
    form = choose_form(users, items, nnz, None, model.form, dtype, place)
    csr = device_csr(given, place, dtype=dtype, nonnegative=True)
    model._check(items)
    weights = None
    if model.user_power != 0:
        indptr = given.indptr if isinstance(given, Csr) else place.library.to_host(csr.indptr)
        weights = user_weights(Csr(indptr, np.zeros(0, np.int32), None, csr.shape), model.user_power)
    matrix = None
    if form == "items":
        matrix = ops.gram(csr, user_weights=weights, dtype=dtype)
        d = device.diagonal(matrix)
    else:
        d = gram_diagonal(given if isinstance(given, Csr) else csr.to_host(), weights)
    ridge = invertible_ridge(model._ridge(d), d)
    if not ((d + ridge).max(initial=0.0) < np.finfo(dtype).max):
        raise ValueError(f"X, l2: the diagonal of G + Lambda exceeds what {dtype.name} can hold; scale both down")
    if form == "users" and choose_form(users, items, nnz, ridge, model.form, dtype, place) == "items":
        form, matrix = "items", ops.gram(csr, user_weights=weights, dtype=dtype)
    inverse: DeviceItemsInverse | DeviceUsersInverse
    if form == "items":
        inverse = DeviceItemsInverse.of_gram(matrix, ridge)
    else:
        inverse = DeviceUsersInverse.fit(csr, weights, ridge, dtype)
    c = inverse.diagonal()
    check_condition(c, d + ridge, dtype)
    diagonals = model.final_diagonals(c, d, ridge)
    learned: dict[str, Any] = {"item_counts_": d, "form_": form, "storage_": "full"}
    if form == "items":
        learned["_weights"] = device.diagonal_weights(inverse.matrix, diagonals, out=inverse.matrix)
    else:
        learned |= {"_inverse": inverse, "_diagonal_vectors": diagonals}
    return csr, learned


def _entries(X: Any) -> int:
    """Entries of a sparse matrix of a library's; 0 for what will be refused."""
    try:
        return int(X.nnz if hasattr(X, "nnz") else X._nnz())
    except (AttributeError, RuntimeError):
        return 0


def learned_place(model: LinearAutoencoder) -> Place | None:
    """Where what a fitted model has learned is, if that is a CUDA device."""
    if hasattr(model, "_weights"):
        return place_of(model._weights)
    return place_of(model._inverse.matrix) if hasattr(model, "_inverse") else None


def learned_dtype(model: LinearAutoencoder, place: Place) -> Any:
    """Of what is learned."""
    W = getattr(model, "_weights", None)
    if W is None:
        return place.library.dtype(model._inverse.matrix)
    return W.dtype if isinstance(W, DeviceCsr) else place.library.dtype(W)


def moved(model: LinearAutoencoder, place: Place) -> dict[str, Any]:
    """What a model of the host has learned, on a device."""
    if hasattr(model, "_weights"):
        W = model._weights
        if is_sparse(W):
            csr = Csr(W.indptr.astype(np.int64), W.indices.astype(np.int32), W.data, W.shape)
            return {"_weights": transfer(csr, place, W.dtype)}
        place.require(W.nbytes, f"the weights of {len(W)} items", "sparsify() keeps the largest.")
        return {"_weights": place.from_host(W, W.dtype)}
    if isinstance(model._inverse, UsersInverse) and model.storage_ == "full":
        return {"_inverse": to_device(model._inverse, place)}
    raise ValueError(f"form_={model.form_!r}, storage_={model.storage_!r}: only what is stored in full can be moved")


def fetched(model: LinearAutoencoder, place: Place, num_threads: int) -> dict[str, Any]:
    """What a model of a device has learned, on the host."""
    if not hasattr(model, "_weights"):
        return {"_inverse": model._inverse.to_host(num_threads)}  # type: ignore[union-attr]
    W = model._weights
    return {"_weights": W.to_host().scipy(W.dtype) if isinstance(W, DeviceCsr) else place.library.to_host(W)}


def weights_block(model: LinearAutoencoder, place: Place, j0: int, j1: int) -> NDArray[Any] | None:
    """Columns of W on the host, or None where they must be made of an inverse."""
    if not hasattr(model, "_weights"):
        return None
    W = model._weights
    if isinstance(W, DeviceCsr):
        return np.asarray(sp.csr_matrix(W.to_host().scipy(W.dtype))[:, j0:j1].toarray())
    return place.library.to_host(W[:, j0:j1])


def score(model: LinearAutoencoder, X: Any) -> NDArray[Any]:
    """X W; on the host if X is."""
    csr, place = _rows(model, X)
    if hasattr(model, "_weights"):
        scores = ops.score(csr, model._weights)
    else:
        dtype = learned_dtype(model, place)
        place.require(csr.shape[0] * csr.shape[1] * dtype.itemsize, "the scores", "Score fewer users at a time.")
        scores = _implicit_scores(model, csr)
    return scores if on_cuda(X) else place.library.to_host(scores)


def recommend(model: LinearAutoencoder, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any) -> Pair:
    """The best k for every row of X; on the host if X is."""
    csr, place = _rows(model, X)
    never = model.item_counts_ == 0
    found: Pair
    if hasattr(model, "_weights") and not isinstance(model._weights, DeviceCsr):
        found = device.recommend(
            csr, model._weights, k=k, exclude_seen=exclude_seen, items=items, forbid=forbid, never=never
        )
    else:
        hidden = device.hiding(csr, model.n_items_, exclude_seen=exclude_seen, items=items, forbid=forbid, never=never)
        if hasattr(model, "_weights"):
            W = model._weights

            def scores_of(rows: DeviceCsr, begin: int, end: int) -> Any:
                return device.score_sparse(rows, W, W.dtype)
        else:
            inverse: Any = model._inverse
            known = model._diagonal_vectors.row_scale is None and inverse.can_scale_back() and inverse.is_training(csr)

            def scores_of(rows: DeviceCsr, begin: int, end: int) -> Any:
                return _implicit_scores(model, rows, np.arange(begin, end) if known else None)

        found = device.rank(csr, scores_of, hidden, k=k, scales=[None], dtype=learned_dtype(model, place))[0]
    return found if on_cuda(X) else (place.library.to_host(found[0]), place.library.to_host(found[1]))


def _implicit_scores(model: LinearAutoencoder, X: DeviceCsr, users: NDArray[np.int64] | None = None) -> Any:
    """X W straight from the inverse of the users form; X may be known to be the rows of `users` in the training."""
    inverse: Any = model._inverse
    alpha, beta, row_scale = (
        None if v is None else X.place.from_host(v, inverse.dtype) for v in model._diagonal_vectors
    )
    if row_scale is not None:
        X = X.scaled(row_scale)
    scores = inverse.product(X) if users is None else inverse.trained(users)
    scores *= beta
    scores += inverse.dense(X.scaled(alpha))
    return scores


def _rows(model: LinearAutoencoder, X: Any) -> tuple[DeviceCsr, Place]:
    here = learned_place(model)
    assert here is not None, "called for a model on a device only"
    place = place_of(X) or here
    if place != here:
        raise ValueError(
            f"X: expected interactions on the host or of {here.library.name} on device {here.device}, where the model "
            f"is, got some of {place.library.name} on device {place.device}"
        )
    dtype = learned_dtype(model, place)
    return device_csr(X, place, dtype=dtype, cols=model.n_items_, nonnegative=True), place
