"""Recommending by products of thin matrices on a CUDA device: a model's arrays lie there, and the ops follow them.

Scores are P R^T + bias, P = `model._vectors(X)` being made of the model's own arrays by ops, wherever those are; plus
delta at a user's own items where a model has such a diagonal. What is for looking at (similar items, explanations,
files) is done by a copy on the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._arrays import DeviceCsr, Place, device_csr, on_cuda, parse_device, place_for, place_of
from ..ops import device, device_solvers
from ..ops.topk import Pair

if TYPE_CHECKING:
    from typing_extensions import Self

Model = TypeVar("Model", bound=Any)  # with `_on_device`: the names of learned arrays that move, all or none of them


class Movable:
    """What models have whose learned arrays, those that `_on_device` names, may lie on a CUDA device."""

    _on_device: tuple[str, ...]

    def to(self, device: str) -> Self:
        """A fitted copy of the model on another device.

        Parameters
        ----------
        device : str
            "cpu", "cuda" or "cuda:0".

        Returns
        -------
        Recommender
            Of the same class; this model itself if it is there already. On a CUDA device it scores and recommends
            there; `similar_items`, `explain` and `save` bring what they need to the host.
        """
        return moved(self, device)

    @property
    def _place(self) -> Place | None:
        """The CUDA device that the model recommends on, or None."""
        return learned_place(self)


def learned_place(model: Any) -> Place | None:
    """Where what a fitted model recommends by is, if that is a CUDA device."""
    model._check_fitted(model._on_device[0])
    return place_of(getattr(model, model._on_device[0]))


def moved(model: Model, to: str) -> Model:
    """A copy of a fitted model on another device; the model itself if it is there."""
    here = learned_place(model)
    if to == "cpu":
        if here is None:
            return model
        move = here.library.to_host
    else:
        number = parse_device(to)
        if here is not None and number in (None, here.device):
            return model
        if here is not None:
            return moved(moved(model, "cpu"), to)
        there = place_for(to)
        assert there is not None

        def move(array: Any) -> Any:
            return there.from_host(array, array.dtype)

    copy = type(model)(**model.get_params())
    copy.__dict__ |= model.__dict__
    done: dict[int, Any] = {}  # two names of one array stay so
    for name in model._on_device:
        array = getattr(model, name)
        if id(array) not in done:
            done[id(array)] = move(array)
        setattr(copy, name, done[id(array)])
    if hasattr(copy, "device"):
        copy.device = to
    result: Model = copy
    return result


def _rows(model: Any, X: Any) -> tuple[DeviceCsr, Place]:
    place = learned_place(model)
    assert place is not None, "called for a model on a device only"
    found = place_of(X) or place
    if found != place:
        raise ValueError(
            f"X: expected interactions on the host or of {place.library.name} on device {place.device}, where the "
            f"model is, got some of {found.library.name} on device {found.device}"
        )
    dtype = place.library.dtype(getattr(model, model._on_device[0]))
    return device_csr(X, place, dtype=dtype, cols=model.n_items_, nonnegative=True), place


def user_vectors(model: Any, X: Any) -> NDArray[Any]:
    """P; on the host if X is."""
    csr, place = _rows(model, X)
    with place.current():
        P: NDArray[Any] = model._vectors(csr)
    return P if on_cuda(X) else place.library.to_host(P)


def _dense(model: Any, X: DeviceCsr) -> Any:
    right, bias = model._scored_by()
    scores = device_solvers.score_factors(model._vectors(X), right, bias=bias, out=None)
    delta = getattr(model, "diagonal_", None)
    if delta is not None:
        place = X.place
        rows = np.repeat(np.arange(X.shape[0]), np.diff(place.library.to_host(X.indptr)))
        columns = place.library.astype(X.indices, np.int64)
        scores[place.from_host(rows, np.int64), columns] += X.scaled(
            place.from_host(delta, place.library.dtype(scores))
        ).values
    return scores


def score(model: Any, X: Any) -> NDArray[Any]:
    """Scores of all items; on the host if X is."""
    csr, place = _rows(model, X)
    with place.current():
        scores: NDArray[Any] = _dense(model, csr)
    return scores if on_cuda(X) else place.library.to_host(scores)


def recommend(model: Any, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any) -> Pair:
    """The best k for every row of X; on the host if X is."""
    csr, place = _rows(model, X)
    n, never = model.n_items_, model.item_counts_ == 0
    found: Pair
    with place.current():
        hidden = device.hiding(csr, n, exclude_seen=exclude_seen, items=items, forbid=forbid, never=never)
        right, bias = model._scored_by()
        if getattr(model, "diagonal_", None) is not None and not exclude_seen:  # the diagonal speaks
            dtype = place.library.dtype(right)
            found = device.rank(csr, lambda rows, *_: _dense(model, rows), hidden, k=k, scales=[None], dtype=dtype)[0]
        else:
            P = model._vectors(csr)
            found = device_solvers.recommend_factors_checked(P, right, k, bias, hidden.seen, hidden.columns)
            nothing = csr.indptr[1:] == csr.indptr[:-1]
            found[0][nothing] = -1
            found[1][nothing] = -np.inf
    return found if on_cuda(X) else (place.library.to_host(found[0]), place.library.to_host(found[1]))
