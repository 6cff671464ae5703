"""What every recommender has in common: hyperparameters kept as given, and a fit/score/recommend/save interface."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import _memory, _progress
from .._names import did_you_mean
from .._sparse import is_sparse
from ..data.interactions import Interactions
from ..errors import DataError, NotFittedError

if TYPE_CHECKING:
    from typing_extensions import Self


def is_vector(value: Any) -> bool:
    """Whether a hyperparameter holds one value per item (a class such as np.float32 has an `ndim` of its own)."""
    return not isinstance(value, (str, type)) and np.ndim(value) > 0


def plain(value: Any) -> Any:
    """A number of NumPy's as Python's, a dtype as its name, anything else as it is."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.item()
    if isinstance(value, (type, np.dtype)):
        return np.dtype(value).name
    return value


def _same_values(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two dictionaries have the same keys, numbers, arrays and types of arrays."""
    if a.keys() != b.keys():
        return False
    for name, value in a.items():
        one, other = np.asarray(plain(value) if not is_vector(value) else value), b[name]
        other = np.asarray(plain(other) if not is_vector(other) else other)
        if one.shape != other.shape or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            return False
    return True


class Recommender(ABC):
    """Base of all models.

    Hyperparameters are keyword arguments of the constructor, stored unchanged under their own names; what `fit` learns
    ends in an underscore.
    """

    registry: ClassVar[dict[str, type[Recommender]]] = {}
    sequential: ClassVar[bool] = False  # whether it goes by time, so that it must be shown an Interactions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make the class known to `load`."""
        super().__init_subclass__(**kwargs)
        Recommender.registry[cls.__name__] = cls

    @classmethod
    def _param_names(cls) -> list[str]:
        return [p for p in inspect.signature(cls).parameters if p != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Hyperparameters by name."""
        return {name: getattr(self, name) for name in self._param_names()}

    def set_params(self, **params: Any) -> Self:
        """Change hyperparameters; they take effect at the next `fit`."""
        names = self._param_names()
        for name, value in params.items():
            if name not in names:
                raise ValueError(
                    f"{type(self).__name__} has no hyperparameter {name!r}{did_you_mean(name, names)} "
                    f"(it has {', '.join(names)})"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes this model, without what is at its default."""
        parts = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if value is parameter.default:
                continue
            if is_vector(value):
                parts.append(f"{name}=<{len(value)} values>")
            elif plain(value) != parameter.default:
                parts.append(f"{name}={plain(value)!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    # The user's ids live here, in one place; a subclass sees positions only, in the methods named with an underscore.

    interactions_: Interactions  # what the model was fitted on, if it was an Interactions

    @abstractmethod
    def _fit(self, X: Any) -> None:
        """Learn from interactions; on failure the model is as it was."""

    @abstractmethod
    def _score(self, X: Any) -> NDArray[Any]:
        """Scores of all items for the rows of `X`."""

    @abstractmethod
    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best k items for the rows of `X`, as positions."""

    def fit(self, X: Any) -> Self:
        """Learn from interactions.

        Parameters
        ----------
        X : Interactions, or sparse matrix, (users, items)
            Finite, non-negative values of any number type and format. Duplicates are summed; `X` is not changed. After
            an `Interactions` the model speaks its ids, and keeps it as `interactions_`.

        Returns
        -------
        self

        Raises
        ------
        NotPositiveDefiniteError
            If a matrix to be inverted is singular (l2 = 0 and dropout = 0), naming the item.
        MemoryNeededError
            Before anything is computed, if the fit does not fit in memory.
        ValueError, TypeError
            Naming the argument, what was got and what is expected.
        """
        with _progress.span(type(self).__name__):
            self._fit(X)
        self.__dict__.pop("interactions_", None)
        if isinstance(X, Interactions):
            self.interactions_ = X._without_timestamps()
        return self

    def score(self, X: Any = None, *, users: Any = None) -> NDArray[Any]:
        """Scores of all items, unmasked.

        Parameters
        ----------
        X : sparse matrix, (users, items), or Interactions
            Any users, also such as were never seen in training.
        users : ids, optional
            Users of the training instead, for a model fitted on an `Interactions`; see `recommend`.

        Returns
        -------
        ndarray, (users, items)
            Columns are in the order of the items of the training.
        """
        return self._score(self._rows_of(X, users)[0])

    def recommend(
        self,
        X: Any = None,
        k: int = 10,
        exclude_seen: bool = True,
        items: Any = None,
        forbid: Any = None,
        *,
        users: Any = None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The best k items for every user.

        Parameters
        ----------
        X : sparse matrix, (users, items), or Interactions
            Interactions of the users, who need not be those of the training. Items of an `Interactions` that were not
            in the training are passed over.
        k : int
            At least 1.
        exclude_seen : bool
            Do not recommend what the user has.
        items : array_like, optional
            Only these items may be recommended.
        forbid : array_like, or sparse matrix, (users, items), or Interactions, optional
            Items that may not be recommended: to anybody, or per user.
        users : ids, one or several, optional
            Users of the training, instead of `X`, for a model fitted on an `Interactions`.

        Returns
        -------
        items : ndarray, (users, k)
            Best first, ties to the smaller position. Of an `Interactions` or `users`: ids, and what `items` and
            `forbid` list are ids. Of a matrix: positions, int32. Empty slots (fewer candidates than k, or a user
            without any interaction) hold -1, "" among strings, None among other ids.
        scores : ndarray of float32, (users, k)
            -inf in empty slots.

        Raises
        ------
        UnknownIdError
            Naming an unknown id, and ids that are close.
        ValueError, TypeError
            Naming the argument, what was got and what is expected.
        """
        rows, row_ids = self._rows_of(X, users)
        if row_ids is None:
            with _progress.span("recommending"):
                return self._recommend(rows, k, exclude_seen, items, forbid)
        known = self._known()
        slots = len(row_ids) * int(k) if hasattr(k, "__index__") else 0
        if slots > 2**20:  # to ask the system takes longer than a few users
            needed = slots * (8 + known.item_ids.dtype.itemsize)
            _memory.require(needed, f"the ids of {k} items for each of {len(row_ids)} users", "Ask for fewer.")
        items = None if items is None else known.item_positions(items)
        if isinstance(forbid, Interactions):
            forbid = forbid.align(known.item_ids)._csr_of(row_ids)
        elif forbid is not None and not is_sparse(forbid):
            forbid = known.item_positions(forbid)
        with _progress.span("recommending"):
            positions, scores = self._recommend(rows, k, exclude_seen, items, forbid)
        return self._ids_of(positions), scores

    def _known(self) -> Interactions:
        if not hasattr(self, "interactions_"):
            name = type(self).__name__
            raise NotFittedError(f"this {name} was not fitted on an Interactions, so it knows positions only, no ids")
        return self.interactions_

    def _rows_of(self, X: Any, users: Any) -> tuple[Any, NDArray[Any] | None]:
        """Rows for the kernels, with the ids of their users, or None where the conversation is about positions."""
        if (X is None) == (users is None):
            raise TypeError(f"X: expected interactions, or users by id, got {'neither' if X is None else 'both'}")
        if users is not None:
            known = self._known()
            if not known.shape[0]:
                raise DataError("this model was saved without its users: give their interactions instead of ids")
            rows = known.user_positions(users)
            return known._csr_at(rows), known.user_ids[rows]
        if not isinstance(X, Interactions) or not hasattr(self, "interactions_"):
            return X, None
        return X.align(self.interactions_.item_ids)._csr, X.user_ids

    def _ids_of(self, positions: NDArray[np.int32]) -> NDArray[Any]:
        """Positions of items as ids."""
        ids = self.interactions_.item_ids
        named = ids[np.maximum(positions, 0)] if len(ids) else positions.astype(ids.dtype)
        named[positions < 0] = {"i": -1, "U": ""}.get(ids.dtype.kind)
        return named

    def equals(self, other: Any) -> bool:
        """Whether `other` is a model of the same class with the same hyperparameters, learned numbers and ids.

        Holds for a model and its reloaded file, its copy and its unpickled self; numbers are compared bit by bit.
        """
        if type(self) is not type(other) or not _same_values(self.get_params(), other.get_params()):
            return False
        states = []
        for model in (self, other):
            try:
                states.append(model._compared())
            except NotFittedError:
                states.append(({}, {}))
        if not (_same_values(states[0][0], states[1][0]) and states[0][1] == states[1][1]):
            return False
        ids = [getattr(model, "interactions_", None) for model in (self, other)]
        return ids[0] is ids[1] or (ids[0] is not None and ids[0].equals(ids[1]))

    @abstractmethod
    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Learned arrays and small facts, as they go into a file."""

    def _compared(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What of `_state` is compared by `equals`."""
        return self._state()

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        """The inverse of `_state`."""

    def save(self, path: str | PathLike[str], *, with_users: bool = True) -> None:
        """Write the fitted model to a safetensors file; see `fastlae.load`.

        The file appears under its name only when it is complete.

        Parameters
        ----------
        path : path-like
            Of the file; one that is there is replaced.
        with_users : bool
            Of a model fitted on an `Interactions`: write its users and what they have too, so that the loaded model
            recommends to them by id. False leaves them and their items out; ids of items are always written. A model
            by the users form, which computes with its users' rows, is written as items × items weights then.

        Raises
        ------
        ValueError
            If `with_users` is False for a model that is nothing without its users' rows (UserKNN).
        MemoryNeededError
            If there is no room for those weights; ``sparsify(top_k=...).save`` needs less.
        DataError
            If ids are neither integers nor strings.
        OSError
            If the file cannot be written.
        """
        from .io import save

        save(self if with_users else self._without_users(), path, with_users=with_users)

    def _without_users(self) -> Self:
        """The model without the rows of its users; `interactions_` apart, which is taken care of."""
        return self

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X) first")
