"""Models of fastlae as cornac's, for its experiments and evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
from cornac.exception import ScoreException
from cornac.models import EASE as _EASE
from cornac.models import Recommender as _Recommender
from numpy.typing import NDArray

from ..models import EASE as OurEASE
from ..models.base import Recommender


class ModelRecommender(_Recommender):
    """Any model of fastlae as a model of cornac.

    Parameters
    ----------
    model : Recommender
        Of fastlae; `fit` fits it. Ratings must not be negative.
    name : str, optional
        In cornac's tables; by default that of the model with its hyperparameters.
    trainable, verbose : bool
        As of all models there.

    Examples
    --------
    >>> import cornac, fastlae
    >>> from fastlae.backends.cornac import ModelRecommender
    >>> train = cornac.data.Dataset.from_uir([("a", "x", 1.0), ("a", "y", 1.0), ("b", "y", 1.0), ("b", "z", 1.0)])
    >>> model = ModelRecommender(fastlae.EASE(l2=1.0)).fit(train)
    >>> model.recommend("a", k=1, remove_seen=True, train_set=train)
    ['z']
    """

    def __init__(
        self, model: Recommender, name: str | None = None, trainable: bool = True, verbose: bool = False
    ) -> None:
        super().__init__(name=name or repr(model), trainable=trainable, verbose=verbose)
        self.model = model

    def fit(self, train_set: Any, val_set: Any = None) -> ModelRecommender:
        """Learn from a dataset of cornac's."""
        super().fit(train_set, val_set)
        self.U = train_set.matrix
        if self.trainable:
            self.model.fit(self.U)
        return self

    def score(self, user_idx: int, item_idx: int | None = None) -> Any:
        """Scores of all known items, or of one, for a user of the training."""
        if self.is_unknown_user(user_idx):
            raise ScoreException(f"Can't make score prediction for user {user_idx}")
        if item_idx is not None and self.is_unknown_item(item_idx):
            raise ScoreException(f"Can't make score prediction for item {item_idx}")
        scores = self.model.score(self.U[user_idx])[0]
        return scores if item_idx is None else scores[item_idx]


class EASE(_EASE):
    """cornac's EASE, fitted by native kernels: same name and arguments, and all else is cornac's own.

    Examples
    --------
    >>> import cornac
    >>> from fastlae.backends.cornac import EASE
    >>> train = cornac.data.Dataset.from_uir([("a", "x", 1.0), ("a", "y", 1.0), ("b", "y", 1.0), ("b", "z", 1.0)])
    >>> EASE(lamb=1.0, verbose=False).fit(train).B.shape
    (3, 3)
    """

    def fit(self, train_set: Any, val_set: Any = None) -> EASE:
        """Learn from a dataset of cornac's."""
        _Recommender.fit(self, train_set, val_set)
        self.U = train_set.matrix.astype(np.float32)  # of double, every score would convert all of B
        B: NDArray[Any] = OurEASE(l2=self.lamb, form="items", storage="full").fit(self.U).weights_
        if self.posB:
            np.maximum(B, 0, out=B)
        self.B = B
        return self
