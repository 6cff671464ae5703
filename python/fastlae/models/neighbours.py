"""Neighbourhood models: what goes with the items that a user has, and what similar users have."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .. import _memory, _progress
from .._sparse import Csr, apart, as_csr
from .._threads import resolve_threads
from ..ops.knn_graph import SETS, check_similarity, neighbours_checked, object_sizes
from ..ops.topk import allocate, check_count, hidden_items, recommend_checked, slice_hidden
from .base import plain
from .inverse import row_blocks
from .item_weights import ItemRecommender
from .linear import LinearAutoencoder

_log = logging.getLogger("fastlae")


def _check(model: Any) -> None:
    check_count(model.k, "k")
    check_similarity(model.metric, model.shrink, model.alpha)
    if not isinstance(model.normalize, (bool, np.bool_)):
        raise TypeError(f"normalize: expected True or False, got {model.normalize!r}")


def _listed(neighbours: NDArray[np.int32], similarities: NDArray[np.float32], n: int) -> Any:
    """Lists of neighbours, ordered by object, as a CSR matrix (rows, n)."""
    kept = neighbours >= 0
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return sp.csr_matrix((similarities[kept], neighbours[kept], indptr), shape=(len(neighbours), n))


def _rows_to_one(S: Any) -> Any:
    """Every row of S, which has no negative entries, divided by its sum."""
    total = np.asarray(S.sum(axis=1, dtype=np.float64)).ravel()
    S.data /= np.repeat(np.where(total > 0, total, 1), np.diff(S.indptr)).astype(S.dtype)
    return S


class ItemKNN(LinearAutoencoder):
    """Item neighbourhoods: an item is recommended for its similarity to what the user has.

    W[i, j] is the similarity of i to j where i is among the k items most similar to j, else 0; scores are X W (Sarwar
    et al. 2001; "conditional" with `normalize`: Deshpande and Karypis 2004).

    Parameters
    ----------
    k : int
        Neighbours of every item; all others where there are not so many.
    metric : {"cosine", "jaccard", "asymmetric_cosine", "conditional"}
        See `fastlae.ops.knn_graph`. Of those that are not symmetric, i is what the user has: "conditional" is P(j|i).
    shrink : float
        At least 0: makes similarities smaller that rest on few users.
    alpha : float
        Of "asymmetric_cosine", from 0 to 1.
    normalize : bool
        Rows of W are divided by their sums, so that every item of a user has the same say.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Attributes
    ----------
    weights_ : csr_matrix of float32, (items, items)
        W[i, j] carries input item i to target item j.
    item_counts_ : ndarray of float64, (items,)
        Users of every item. An item that nobody touched is never recommended.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]])
    >>> fastlae.ItemKNN(k=2).fit(X).recommend(X[:1], k=1)[0]
    array([[2]], dtype=int32)
    """

    device = None

    def __init__(
        self,
        *,
        k: int = 100,
        metric: str = "cosine",
        shrink: float = 0.0,
        alpha: float = 0.5,
        normalize: bool = False,
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.metric = metric
        self.shrink = shrink
        self.alpha = alpha
        self.normalize = normalize
        self.num_threads = num_threads

    def _fit(self, X: Any) -> None:
        _check(self)
        threads = resolve_threads(self.num_threads)
        csr = as_csr(X, dtype=np.float32, nonnegative=True)
        n = csr.shape[1]
        k = max(1, min(self.k, n - 1))
        # Lists, and twice the weights while they are transposed.
        _memory.require(n * k * 24, f"{k} neighbours of {n} items", "A smaller k needs less.")
        lists = neighbours_checked(
            csr.transpose(),
            csr,
            k,
            self.metric,
            self.shrink,
            self.alpha,
            ordered=False,
            target=True,
            num_threads=threads,
        )
        W = _listed(*lists, n).T.tocsr()
        if self.normalize:
            _rows_to_one(W)
        counts = csr.item_counts()
        learned = {"item_counts_": counts, "form_": "sparse", "storage_": "full", "_weights": W}
        self.__dict__ = {**self.get_params(), **learned}
        _log.info("%r: fitted %d users x %d items, %d weights", self, *csr.shape, W.nnz)


class UserKNN(ItemRecommender):
    """User neighbourhoods: an item is recommended for the similarity of the users who have it.

    The score of item j for a user x is the sum of s(x, v) X[v, j] over the k users v of the training who are most
    similar to x, who need not be one of them. One who is counts among her own neighbours: that adds to what she has
    only.

    Parameters
    ----------
    k : int
        Neighbours; all users where there are not so many.
    metric : {"cosine", "jaccard", "asymmetric_cosine", "conditional"}
        See `fastlae.ops.knn_graph`, with users and items exchanged. Of those that are not symmetric, x is i.
    shrink : float
        At least 0: makes similarities smaller that rest on few items.
    alpha : float
        Of "asymmetric_cosine", from 0 to 1.
    normalize : bool
        The similarities of a user's neighbours are divided by their sum: scores are means. Rankings stay the same.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Attributes
    ----------
    training_ : csr_matrix of float32, (users, items)
        X, which the model needs and a file of it carries.
    item_counts_ : ndarray of float64, (items,)
        Users of every item. An item that nobody touched is never recommended.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]])
    >>> fastlae.UserKNN(k=2).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=2)[0]
    array([[1, 2]], dtype=int32)
    """

    training_: Any
    _by_item: Csr
    _asked: dict[str, Any]  # hyperparameters as they were when the model was fitted
    _sizes: tuple[NDArray[np.float64], NDArray[np.float64]]  # of users: sums of squares, numbers of items

    def __init__(
        self,
        *,
        k: int = 100,
        metric: str = "cosine",
        shrink: float = 0.0,
        alpha: float = 0.5,
        normalize: bool = False,
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.metric = metric
        self.shrink = shrink
        self.alpha = alpha
        self.normalize = normalize
        self.num_threads = num_threads

    def _fit(self, X: Any) -> None:
        _check(self)
        csr = apart(as_csr(X, dtype=np.float32, nonnegative=True), X)
        asked = {name: plain(value) for name, value in self.get_params().items() if name != "num_threads"}
        self.__dict__ = {**self.get_params(), **_learned(csr), "_asked": asked}
        _log.info("%r: fitted %d users x %d items", self, *csr.shape)

    def _neighbours(self, X: Csr) -> Any:
        """The neighbours of some users with their similarities, (users, users of the training)."""
        asked, users = self._asked, self.training_.shape[0]
        lists = neighbours_checked(
            X,
            self._by_item,
            max(1, min(asked["k"], users)),
            asked["metric"],
            asked["shrink"],
            asked["alpha"],
            same=False,
            ordered=False,
            sizes=self._sizes[asked["metric"] in SETS],
            num_threads=resolve_threads(self.num_threads),
        )
        S = _listed(*lists, users)
        return _rows_to_one(S) if asked["normalize"] else S

    def _blocks(self, X: Csr) -> list[tuple[int, int]]:
        """Ranges of users whose neighbours take a bounded amount of memory."""
        return row_blocks(X.shape[0], min(self._asked["k"], self.training_.shape[0]) + self.n_items_, 16, 4096)

    def _score(self, X: Any) -> NDArray[np.float32]:
        csr = self._csr(X)
        _memory.require(csr.shape[0] * csr.shape[1] * 4, "the scores", "Score fewer users at a time.")
        out = np.empty(csr.shape, np.float32)
        for begin, end in _progress.steps(self._blocks(csr), "block"):
            out[begin:end] = (self._neighbours(csr.rows(begin, end)) @ self.training_).toarray()
        return out

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        csr = self._csr(X)
        threads = resolve_threads(self.num_threads)
        seen, columns = hidden_items(
            csr, self.n_items_, exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.item_counts_ == 0
        )
        best_items, best = allocate(csr.shape[0], k)
        for begin, end in _progress.steps(self._blocks(csr), "block"):
            near = as_csr(self._neighbours(csr.rows(begin, end)))
            best_items[begin:end], best[begin:end] = recommend_checked(
                near, self.training_, k, slice_hidden(seen, begin, end), columns, threads
            )
        return best_items, best

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        # A similarity is an inner product over a scale, so that every item in common has its share of it.
        near = self._neighbours(x)
        common = self.training_[near.indices].astype(np.float64)
        weights = near.data * common[:, [item]].toarray()[:, 0]
        shares = common[:, x.indices].toarray()
        if self._asked["metric"] in SETS:
            shares = (shares > 0).astype(np.float64)
        else:
            shares *= x.dense_values(np.float64)
        return np.asarray((weights / shares.sum(axis=1)) @ shares)

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._check_fitted("item_counts_")
        X = self._by_item
        arrays: dict[str, NDArray[Any]] = {"indptr": X.indptr, "indices": X.indices}
        if X.values is not None:
            arrays["values"] = X.values
        return arrays, {"users": X.shape[1], "asked": self._asked}

    def _without_users(self) -> UserKNN:
        raise ValueError("with_users: UserKNN recommends by its users' rows, and cannot be saved without them")

    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        shape = (len(arrays["indptr"]) - 1, facts["users"])
        by_item = Csr(arrays["indptr"], arrays["indices"], arrays.get("values"), shape)
        self.__dict__ |= {**_learned(by_item.transpose(), by_item), "_asked": facts["asked"]}


def _learned(X: Csr, by_item: Csr | None = None) -> dict[str, Any]:
    by_item = X.transpose() if by_item is None else by_item
    counts = np.diff(by_item.indptr).astype(np.float64)
    sizes = tuple(object_sizes(X, metric, by_row=True) for metric in ("cosine", "jaccard"))
    return {"item_counts_": counts, "training_": X.scipy(np.float32), "_by_item": by_item, "_sizes": sizes}
