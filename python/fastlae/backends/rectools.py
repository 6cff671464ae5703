"""Models of fastlae as RecTools', for its recommendations, cross-validation and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rectools.models import EASEModel as _EASEModel
from rectools.models.base import ModelBase, ModelConfig

from ..models import EASE
from ..models.base import Recommender

Triplet = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def _triplet(ids: Any, items: NDArray[Any], scores: NDArray[Any]) -> Triplet:
    """Lists as RecTools wants them: one after the other, and without the slots that nothing is in."""
    there = items >= 0
    return np.repeat(np.asarray(ids), there.sum(axis=1)), items[there], scores[there]


class _Ranked:
    """What RecTools asks a fitted model for; `_model` is ours."""

    def _fitted(self) -> Any:
        return self._model  # type: ignore[attr-defined]

    def _recommend_u2i(self, user_ids: Any, dataset: Any, k: int, filter_viewed: bool, items: Any) -> Triplet:
        rows = dataset.get_user_item_matrix(include_weights=True)[user_ids]
        return _triplet(user_ids, *self._fitted().recommend(rows, k=k, exclude_seen=filter_viewed, items=items))

    def _recommend_i2i(self, target_ids: Any, dataset: Any, k: int, items: Any) -> Triplet:
        model = self._fitted()
        if items is None:
            return _triplet(target_ids, *model.similar_items(target_ids, k=k))
        found, scores = model.similar_items(target_ids, k=model.n_items_)
        found[~np.isin(found, items)] = -1
        there = (found >= 0) & (np.cumsum(found >= 0, axis=1) <= k)
        return _triplet(target_ids, np.where(there, found, -1), scores)


class FastlaeModelConfig(ModelConfig):
    """Configuration of `ModelRecommender`."""

    model: str = "EASE"
    options: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies it)


class ModelRecommender(_Ranked, ModelBase[FastlaeModelConfig]):
    """Any model of fastlae as a model of RecTools.

    Parameters
    ----------
    model : str
        Name of a class of fastlae.
    options : dict, optional
        Its hyperparameters.
    verbose : int
        As of all models there.

    Examples
    --------
    >>> import pandas as pd
    >>> from rectools.dataset import Dataset
    >>> from fastlae.backends.rectools import ModelRecommender
    >>> rows = [("a", "x"), ("a", "y"), ("b", "y"), ("b", "z")]
    >>> frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(weight=1.0, datetime="2020-01-01")
    >>> dataset = Dataset.construct(frame)
    >>> model = ModelRecommender("EDLAE", {"l2": 1.0, "dropout": 0.3}).fit(dataset)
    >>> model.recommend(["a"], dataset, k=1, filter_viewed=True).item_id.tolist()
    ['z']
    """

    config_class = FastlaeModelConfig

    def __init__(self, model: str = "EASE", options: dict[str, Any] | None = None, verbose: int = 0) -> None:
        super().__init__(verbose=verbose)
        self.model, self.options = model, dict(options or {})
        cls = Recommender.registry.get(model)
        if cls is None:
            raise ValueError(f"model: expected one of {', '.join(sorted(Recommender.registry))}")
        self._model = cls(**self.options)

    def _get_config(self) -> FastlaeModelConfig:
        return FastlaeModelConfig(cls=type(self), model=self.model, options=self.options, verbose=self.verbose)

    @classmethod
    def _from_config(cls, config: FastlaeModelConfig) -> ModelRecommender:
        return cls(config.model, config.options, config.verbose)

    def _fit(self, dataset: Any) -> None:
        self._model.fit(dataset.get_user_item_matrix(include_weights=True))


class EASEModel(_Ranked, _EASEModel):
    """RecTools' EASE on native kernels: same name, arguments and configuration.

    A user's scores are x W, as EASE defines them; RecTools 0.19 computes x W^T, so its lists for users differ. Lists
    for items are the same. `recommend_n_threads` is heeded, `recommend_use_gpu_ranking` changes nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> from rectools.dataset import Dataset
    >>> from fastlae.backends.rectools import EASEModel
    >>> rows = [("a", "x"), ("a", "y"), ("b", "y"), ("b", "z")]
    >>> frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(weight=1.0, datetime="2020-01-01")
    >>> EASEModel(regularization=1.0).fit(Dataset.construct(frame)).weight.shape
    (3, 3)
    """

    def _fit(self, dataset: Any) -> None:
        X = dataset.get_user_item_matrix(include_weights=True)
        self._model = EASE(l2=self.regularization, form="items", storage="full").fit(X)
        self.weight = self._model.weights_

    def _fitted(self) -> Any:
        return self._model.set_params(num_threads=self.recommend_n_threads)


__all__ = ["EASEModel", "FastlaeModelConfig", "ModelRecommender"]
