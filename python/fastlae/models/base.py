"""What every recommender has in common: hyperparameters kept as given, and a fit/score/recommend/save interface."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFittedError

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


class Recommender(ABC):
    """Base of all models.

    Hyperparameters are keyword arguments of the constructor, stored unchanged under their own names; what `fit` learns
    ends in an underscore.
    """

    registry: ClassVar[dict[str, type[Recommender]]] = {}

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
                raise ValueError(f"{type(self).__name__} has no hyperparameter {name!r}; it has {', '.join(names)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The call that makes this model, without what is at its default."""
        parts = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if is_vector(value):
                parts.append(f"{name}=<{len(value)} values>")
            elif plain(value) != parameter.default:
                parts.append(f"{name}={plain(value)!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @abstractmethod
    def fit(self, X: Any) -> Self:
        """Learn from interactions."""

    @abstractmethod
    def score(self, X: Any) -> NDArray[Any]:
        """Scores of all items for the users in the rows of `X`."""

    @abstractmethod
    def recommend(
        self, X: Any, k: int, exclude_seen: bool = True, items: Any = None, forbid: Any = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best k items for the users in the rows of `X`."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Learned arrays and small facts, as they go into a file."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        """The inverse of `_state`."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to a safetensors file; see `fastlae.load`.

        The file appears under its name only when it is complete.
        """
        from .io import save

        save(self, path)

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X) first")
