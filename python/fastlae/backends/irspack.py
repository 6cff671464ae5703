"""Models of fastlae as irspack's recommenders, for its evaluators and its tuner."""

from __future__ import annotations

from typing import Any

from irspack import DenseSLIMRecommender as _DenseSLIM
from irspack.optimization.parameter_range import LogUniformFloatRange, UniformFloatRange
from irspack.recommenders.base import BaseRecommender, RecommenderConfig
from numpy.typing import NDArray

from ..models import DEQL, EASE, EDLAE
from ..models.base import Recommender


class ModelRecommender(BaseRecommender, register_class=False):  # type: ignore[call-arg]
    """Any model of fastlae as a recommender of irspack.

    Parameters
    ----------
    X_train_all : sparse matrix, (users, items)
        Interactions.
    model : Recommender
        Of fastlae, not fitted; `learn` fits it.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.irspack import ModelRecommender
    >>> X = fastlae.data.make_interactions(n_users=50, n_items=20, seed=1)
    >>> ModelRecommender(X, fastlae.EDLAE(l2=10.0, dropout=0.3)).learn().get_score_block(0, 5).shape
    (5, 20)
    """

    default_tune_range: Any = []  # noqa: RUF012 (irspack's)

    def __init__(self, X_train_all: Any, model: Recommender) -> None:
        super().__init__(X_train_all)
        self.model = model

    def _learn(self) -> None:
        self.model.fit(self.X_train_all)

    def get_score(self, user_indices: Any) -> NDArray[Any]:
        """Scores of users of the training."""
        return self.model.score(self.X_train_all[user_indices])

    def get_score_block(self, begin: int, end: int) -> NDArray[Any]:
        """Scores of users begin to end of the training."""
        return self.model.score(self.X_train_all[begin:end])

    def get_score_cold_user(self, X: Any) -> NDArray[Any]:
        """Scores of any users."""
        return self.model.score(X)


class DenseSLIMRecommender(ModelRecommender, _DenseSLIM, register_class=False):  # type: ignore[call-arg]
    """irspack's DenseSLIM (EASE) on native kernels: same name, arguments and range for tuning.

    Parameters
    ----------
    X_train_all : sparse matrix, (users, items)
        Interactions.
    reg : float
        Ridge.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.irspack import DenseSLIMRecommender
    >>> X = fastlae.data.make_interactions(n_users=50, n_items=20, seed=1)
    >>> DenseSLIMRecommender(X, reg=10.0).learn().W.shape
    (20, 20)
    """

    default_tune_range = _DenseSLIM.default_tune_range
    config_class = _DenseSLIM.config_class

    def __init__(self, X_train_all: Any, reg: float = 1) -> None:
        ModelRecommender.__init__(self, X_train_all, EASE(l2=reg))
        self.reg = reg

    @property
    def W(self) -> NDArray[Any]:
        """Item-item weights, (items, items)."""
        weights: NDArray[Any] = self.model.weights_  # type: ignore[attr-defined]
        return weights


class EDLAEConfig(RecommenderConfig):
    reg: float = 100.0
    dropout: float = 0.3


class EDLAERecommender(ModelRecommender):
    """EDLAE (Steck 2020) for irspack's tuner.

    Parameters
    ----------
    X_train_all : sparse matrix, (users, items)
        Interactions.
    reg : float
        Ridge.
    dropout : float
        Share of a user's items that the model learns to do without.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.irspack import EDLAERecommender
    >>> X = fastlae.data.make_interactions(n_users=50, n_items=20, seed=1)
    >>> EDLAERecommender(X, reg=10.0).learn().get_score_cold_user(X[:2]).shape
    (2, 20)
    """

    default_tune_range = [LogUniformFloatRange("reg", 1, 1e4), UniformFloatRange("dropout", 0.0, 0.9)]  # noqa: RUF012
    config_class = EDLAEConfig

    def __init__(self, X_train_all: Any, reg: float = 100.0, dropout: float = 0.3) -> None:
        super().__init__(X_train_all, EDLAE(l2=reg, dropout=dropout))
        self.reg, self.dropout = reg, dropout


class DEQLConfig(RecommenderConfig):
    reg: float = 100.0
    dropout: float = 0.3
    b: float = 0.1


class DEQLRecommender(ModelRecommender):
    """DEQL for irspack's tuner; see `fastlae.DEQL`.

    Parameters
    ----------
    X_train_all : sparse matrix, (users, items)
        Interactions.
    reg : float
        Ridge.
    dropout : float
        Share of a user's items that are dropped.
    b : float
        Weight of what was not dropped, beside 1 of what was.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.irspack import DEQLRecommender
    >>> X = fastlae.data.make_interactions(n_users=50, n_items=20, seed=1)
    >>> DEQLRecommender(X, reg=10.0).learn().get_score_block(0, 2).shape
    (2, 20)
    """

    default_tune_range = [  # noqa: RUF012
        LogUniformFloatRange("reg", 1, 1e4),
        UniformFloatRange("dropout", 0.05, 0.9),
        UniformFloatRange("b", 0.0, 1.0),
    ]
    config_class = DEQLConfig

    def __init__(self, X_train_all: Any, reg: float = 100.0, dropout: float = 0.3, b: float = 0.1) -> None:
        super().__init__(X_train_all, DEQL(l2=reg, dropout=dropout, a=1.0, b=b))
        self.reg, self.dropout, self.b = reg, dropout, b


__all__ = ["DEQLRecommender", "DenseSLIMRecommender", "EDLAERecommender", "ModelRecommender"]
