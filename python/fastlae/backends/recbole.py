"""Models of fastlae as RecBole's, for its trainers, evaluations and searches."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType

from .. import models
from ..models.base import Recommender

ModelClass = type[Recommender]  # within a model of RecBole's, `type` is its kind


class ModelRecommender(GeneralRecommender):
    """Any model of fastlae as a model of RecBole: a subclass for each says which, in `model_class`.

    Its hyperparameters are those of the model, by their own names in RecBole's configuration; what is not there has
    its default. (Of `epochs`, `learning_rate`, `weight_decay` and `seed` RecBole has defaults of its own, which count.)
    As RecBole's own models without training, it is fitted when it is made, from the dataset. Models that go by time
    (DLR2) are not possible.

    Parameters
    ----------
    config : recbole.config.Config
    dataset : recbole.data.dataset.Dataset
        The training's.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.recbole import ModelRecommender
    >>> class ItemKNN(ModelRecommender):
    ...     model_class = fastlae.ItemKNN  # `k`, `similarity`, ... are read from the configuration
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL
    model_class: ClassVar[ModelClass]

    def __init__(self, config: Any, dataset: Any) -> None:
        if self.model_class.sequential:
            raise ValueError(f"{self.model_class.__name__} goes by time, which it is not told here")
        super().__init__(config, dataset)
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # RecBole's trainer wants something to optimize
        self.X = sp.csr_matrix(dataset.inter_matrix(form="csr"), dtype=np.float32)
        self.model = self._make(config).fit(self.X)

    def _make(self, config: Any) -> Recommender:
        # `device` is RecBole's own, and names the one that networks are trained on.
        names = [name for name in self.model_class._param_names() if name != "device" and name in config]
        model: Recommender = self.model_class(**{name: config[name] for name in names})
        return model

    def calculate_loss(self, interaction: Any) -> Any:
        """Nothing: there is no training."""
        return torch.nn.Parameter(torch.zeros(1))

    def _scores(self, users: Any) -> Any:
        return torch.from_numpy(self.model.score(self.X[users.cpu().numpy()])).to(self.device)

    def predict(self, interaction: Any) -> Any:
        """Scores of pairs, (pairs,)."""
        users, row = torch.unique(interaction[self.USER_ID], return_inverse=True)
        return self._scores(users)[row, interaction[self.ITEM_ID]]

    def full_sort_predict(self, interaction: Any) -> Any:
        """Scores of all items for every user, (users * items,)."""
        return self._scores(interaction[self.USER_ID]).flatten()


class EASE(ModelRecommender):
    """RecBole's EASE on native kernels: same name and configuration (`reg_weight`)."""

    model_class = models.EASE

    def _make(self, config: Any) -> Recommender:
        return models.EASE(l2=config["reg_weight"])


class SLIMElastic(ModelRecommender):
    """RecBole's SLIMElastic on native kernels: same name and configuration.

    `alpha`, `l1_ratio` and `positive_only` are those of scikit-learn's elastic net, whose loss is divided by the number
    of users: l1 = users * alpha * l1_ratio and l2 = users * alpha * (1 - l1_ratio). `hide_item` must be True: an item
    that may explain itself is no SLIM.
    """

    model_class = models.SLIM

    def _make(self, config: Any) -> Recommender:
        if not config["hide_item"]:
            raise ValueError("hide_item: expected True: SLIM's weights have no diagonal")
        scale = self.X.shape[0] * config["alpha"]
        share = config["l1_ratio"]
        return models.SLIM(l1=scale * share, l2=scale * (1 - share), nonnegative=config["positive_only"])


class DLAE(ModelRecommender):
    """`fastlae.DLAE`, with `l2`, `dropout`, ... in RecBole's configuration."""

    model_class = models.DLAE


class EDLAE(ModelRecommender):
    """`fastlae.EDLAE`, with `l2`, `dropout`, ... in RecBole's configuration."""

    model_class = models.EDLAE


class DEQL(ModelRecommender):
    """`fastlae.DEQL`, with `l2`, `dropout`, `a`, `b`, ... in RecBole's configuration."""

    model_class = models.DEQL


def register(*classes: type[ModelRecommender]) -> None:
    """Let RecBole find these classes by name, in the place of its own where it has such.

    RecBole's `run_recbole`, its search and its command line know models by name alone, and look for a name among its
    own modules.

    Parameters
    ----------
    *classes : subclasses of ModelRecommender
        By default all of this module: EASE and SLIMElastic in the place of RecBole's, DLAE, EDLAE and DEQL new.

    Examples
    --------
    >>> from fastlae.backends.recbole import EDLAE, register
    >>> register()
    >>> from recbole.utils import get_model
    >>> get_model("EDLAE") is EDLAE
    True
    """
    importlib.import_module("recbole.model.general_recommender")  # which takes its own modules' classes when it is made
    for cls in classes or (EASE, SLIMElastic, DLAE, EDLAE, DEQL):
        name = f"recbole.model.general_recommender.{cls.__name__.lower()}"
        module = ModuleType(name, cls.__doc__)
        module.__spec__ = importlib.util.spec_from_loader(name, None)
        setattr(module, cls.__name__, cls)
        sys.modules[name] = module
