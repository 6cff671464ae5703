"""Models of fastlae with the interface of implicit's: fit, recommend and similar_items as its users call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.recommender_base import RecommenderBase
from numpy.typing import NDArray

from ..models.base import Recommender
from ..models.io import load

Pair = tuple[NDArray[np.int32], NDArray[np.float32]]


class ModelRecommender(RecommenderBase):
    """Any model of fastlae as a recommender of implicit.

    Parameters
    ----------
    model : Recommender
        Of fastlae; `fit` fits it.

    Notes
    -----
    Users are what their rows of `user_items` say, whether they were in the training or not, so `userid` counts rows
    only and `recalculate_user` changes nothing. Where there are fewer than N candidates, slots hold item -1.

    Examples
    --------
    >>> import fastlae
    >>> from fastlae.backends.implicit import ModelRecommender
    >>> X = fastlae.data.make_interactions(n_users=50, n_items=20, seed=1)
    >>> model = ModelRecommender(fastlae.EASE(l2=10.0))
    >>> model.fit(X)
    >>> ids, scores = model.recommend(0, X[0], N=3)
    >>> ids.shape
    (3,)
    """

    def __init__(self, model: Recommender) -> None:
        self.model = model

    def fit(self, user_items: Any, show_progress: bool = True, callback: Any = None) -> None:
        """Learn from a sparse matrix, (users, items); `fastlae.set_progress` decides about a bar."""
        self.model.fit(user_items)

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: Any = None,
        recalculate_user: bool = False,
        items: Any = None,
    ) -> Pair:
        """The N best items for every row of `user_items`, of shape (N,) for a single userid."""
        if filter_items is not None and items is not None:
            raise ValueError("filter_items, items: expected one of them")
        rows = sp.csr_matrix(user_items)
        single = np.isscalar(userid)
        count = 1 if single else len(userid)
        if rows.shape[0] != count:
            raise ValueError(f"user_items: expected {count} rows, one for each userid, got shape {rows.shape}")
        found: Any = self.model.recommend(
            rows, k=N, exclude_seen=filter_already_liked_items, items=items, forbid=filter_items
        )
        return (found[0][0], found[1][0]) if single else (found[0], found[1])

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: Any = None,
        items: Any = None,
    ) -> Pair:
        """The N items most similar to each, the item itself left out."""
        if recalculate_item or item_users is not None or filter_items is not None or items is not None:
            raise NotImplementedError("similar_items: itemid and N are what these models take")
        single = np.isscalar(itemid)
        found: Any = self.model.similar_items(itemid, k=N)  # type: ignore[attr-defined]
        return (found[0][0], found[1][0]) if single else (found[0], found[1])

    def similar_users(self, userid: Any, N: int = 10, filter_users: Any = None, users: Any = None) -> Pair:
        """Not there: these models know users by what they have."""
        raise NotImplementedError("similar_users: these models know users by what they have")

    def save(self, file: Any) -> None:
        """Write the model to a file that `load`, and `fastlae.load`, reads."""
        self.model.save(file)

    @classmethod
    def load(cls, fileobj_or_path: Any) -> ModelRecommender:
        """Read what `save` wrote."""
        return cls(load(fileobj_or_path))
