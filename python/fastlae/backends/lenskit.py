"""Models of fastlae as scorers for LensKit's pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from lenskit.data import ItemList
from lenskit.pipeline import Component
from lenskit.training import Trainable, TrainingOptions
from pydantic import BaseModel, Field, PositiveFloat

from ..models.base import Recommender


class ModelConfig(BaseModel):
    """Configuration of `ModelScorer`."""

    model: str = "EASE"
    """Name of a model of fastlae."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Its hyperparameters."""


class ModelScorer(Component, Trainable):
    """Any model of fastlae as a scorer of LensKit: users are scored by the items in the query, whoever they are.

    Items without interactions and users without history get NaN. The configuration has `model`, the name of a class of
    fastlae, and `options`, its hyperparameters.

    Examples
    --------
    >>> import pandas as pd
    >>> from lenskit.data import ItemList, RecQuery, from_interactions_df
    >>> from fastlae.backends.lenskit import ModelScorer
    >>> data = from_interactions_df(pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [10, 11, 11, 12]}))
    >>> scorer = ModelScorer(model="EDLAE", options={"l2": 1.0, "dropout": 0.3})
    >>> scorer.train(data)
    >>> scorer(RecQuery(history_items=ItemList([10])), ItemList([11, 12])).scores().round(2)
    array([ 0.41, -0.12], dtype=float32)
    """

    config: ModelConfig

    def _make(self) -> Recommender:
        cls = Recommender.registry.get(self.config.model)
        if cls is None:
            raise ValueError(f"model: expected one of {', '.join(sorted(Recommender.registry))}")
        return cls(**self.config.options)

    def is_trained(self) -> bool:
        """Whether there is something to score with."""
        return hasattr(self, "model")

    def train(self, data: Any, options: Any = None) -> None:
        """Learn from a dataset of LensKit's."""
        options = options or TrainingOptions()
        if self.is_trained() and not options.retrain:
            return
        X = sp.csr_matrix(data.interactions().matrix().scipy(legacy=True))
        self.items = data.items
        self.model = self._make().fit(X)

    def __call__(self, query: Any, items: Any) -> Any:
        """Scores of `items` for the history in a query."""
        n, history = len(self.items), query.query_items
        numbers = (
            np.zeros(0, np.int64) if history is None else history.numbers(vocabulary=self.items, missing="negative")
        )
        known = np.unique(numbers[numbers >= 0]).astype(np.int32)
        scores = np.full(len(items), np.nan, np.float32)
        if known.size:
            row = sp.csr_matrix((np.ones(known.size, np.float32), known, [0, known.size]), shape=(1, n))
            wanted = items.numbers(vocabulary=self.items, missing="negative")
            there = wanted >= 0
            scores[there] = self.model.score(row)[0][wanted[there]]
        return ItemList(items, scores=scores)


class EASEConfig(BaseModel):
    """Configuration of `EASEScorer`, as LensKit's own has it."""

    regularization: PositiveFloat = 1
    """Ridge of EASE."""


class EASEScorer(ModelScorer):
    """LensKit's EASE on native kernels: same name and configuration.

    Examples
    --------
    >>> import pandas as pd
    >>> from lenskit.data import from_interactions_df
    >>> from fastlae.backends.lenskit import EASEScorer
    >>> data = from_interactions_df(pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [10, 11, 11, 12]}))
    >>> scorer = EASEScorer(regularization=10.0)
    >>> scorer.train(data)
    >>> scorer.model.weights_.shape
    (3, 3)
    """

    config: EASEConfig

    def _make(self) -> Recommender:
        from ..models import EASE

        return EASE(l2=self.config.regularization)
