"""The evaluation of a model on held-out interactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._sparse import as_csr
from ..data.interactions import Interactions
from ..errors import DataError
from .metrics import DEFINITIONS, Metric, check_count, check_held_out, measure, ranking_sums

METRICS = tuple(name for name in DEFINITIONS if name != "truncated_recall")
PROTOCOLS = ("weak", "strong")


class Recommender(Protocol):
    """What `evaluate` asks of a model."""

    def recommend(self, X: Any, k: int, *, exclude_seen: bool = True) -> tuple[Any, Any]:
        """Items and scores, both (users, k), best first; empty slots are item -1."""


class Evaluation(Mapping[str, Metric]):
    """Metrics by name, as in ``evaluation["recall@20"]``; printed as a table.

    Attributes
    ----------
    protocol : str
        "weak" or "strong".
    n_users, n_left_out : int
        Users with targets, over whom the means are taken, and users without.
    """

    def __init__(self, metrics: Mapping[str, Metric], protocol: str):
        self._metrics = dict(metrics)
        self.protocol = protocol
        first = next(iter(self._metrics.values()))
        self.n_users, self.n_left_out = first.n_users, first.n_left_out

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def among(self, users: Any) -> Evaluation:
        """The same metrics over some of the users, such as `tail_users`.

        Parameters
        ----------
        users : array_like
            Rows of the evaluated matrices, as positions or as a vector of bool. Users without targets among them are
            left out.

        Returns
        -------
        Evaluation

        Raises
        ------
        ValueError
            If none of them has a target.
        """
        chosen = {name: Metric(m.per_user[users], m.name, m.definition) for name, m in self._metrics.items()}
        if any(metric.n_users == 0 for metric in chosen.values()):
            raise ValueError("users: expected some who have targets")
        return Evaluation(chosen, self.protocol)

    def to_dict(self) -> dict[str, float | int | str]:
        """Plain numbers in one level, for JSON or a row of a table."""
        return {
            "protocol": self.protocol,
            "n_users": self.n_users,
            "n_left_out": self.n_left_out,
            **{name: float(metric) for name, metric in self.items()},
        }

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={float(metric):.4f}" for name, metric in self.items())
        return f"<Evaluation {values}; {self.n_users} users, {self.protocol}>"

    def __str__(self) -> str:
        width = max(map(len, self))
        lines = [f"{'':{width}}  {'mean':>8}  {'std. err.':>9}"]
        lines += [f"{name:{width}}  {float(m):8.4f}  {m.standard_error:9.4f}" for name, m in self.items()]
        recall = DEFINITIONS["recall" if self.protocol == "weak" else "truncated_recall"].formula
        lines.append(f"{self.n_users} users, {self.n_left_out} left out (no targets)")
        lines.append(f"{self.protocol} protocol: recall = {recall}")
        return "\n".join(lines)


def evaluate(
    model: Recommender,
    train: Any,
    test: Any,
    *,
    k: int | Iterable[int] = (20,),
    metrics: str | Iterable[str] = ("recall", "ndcg"),
    protocol: str = "weak",
    batch_size: int | None = None,
    num_threads: int = 0,
) -> Evaluation:
    """Recommend to every user with held-out items, and measure the lists.

    Parameters
    ----------
    model : object with ``recommend(X, k=, exclude_seen=)``
        Returns (items, scores), both (users, k); empty slots are item -1. Any fitted model of this package.
    train : sparse matrix, (users, items), or Interactions
        What the model is shown of each user, and does not recommend again. In weak generalization this is the training
        data; in strong generalization the fold-in part of users that were not trained on. A model that goes by time is
        shown the `Interactions` itself, with its timestamps.
    test : sparse matrix, (users, items), or Interactions
        The targets: every stored value that is not zero. Row u belongs to row u of `train`; of two `Interactions`, rows
        and columns are matched by id, and targets that the model does not know of are left out. Users without any are
        not recommended to, left out of the means, and counted.
    k : int or several
        Cut-offs. The model is asked once, for the largest.
    metrics : str or several
        Of "recall", "precision", "ndcg", "hit_rate", "f1", "mean_average_precision" and "mrr".
    protocol : {"weak", "strong"}
        The denominator of recall: |T| or min(k, |T|), T being the user's targets.
    batch_size : int, optional
        Users per call of `model.recommend`. By default all in one call.
    num_threads : int
        Of the metrics; the model has its own. 0 means all that the process may use.

    Returns
    -------
    Evaluation
        A mapping from names like "recall@20" to `Metric`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also if no user has a target, or if the model returns
        lists of the wrong shape.

    Notes
    -----
    Equivalent to ``recall(model.recommend(train, k=20)[0], test, k=20, truncated=protocol == "strong")`` for every
    metric and cut-off, users without targets aside.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> class Constant:
    ...     def recommend(self, X, k, *, exclude_seen=True):
    ...         return np.tile(np.arange(k), (X.shape[0], 1)), np.zeros((X.shape[0], k))
    >>> train = sp.csr_matrix([[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])
    >>> test = sp.csr_matrix([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    >>> result = fastlae.evaluation.evaluate(Constant(), train, test, k=(1, 2), metrics="recall")
    >>> print(result)
                  mean  std. err.
    recall@1    0.2500     0.2500
    recall@2    0.7500     0.2500
    2 users, 1 left out (no targets)
    weak protocol: recall = h(k) / |T|
    >>> result["recall@2"].per_user
    array([0.5, 1. , nan])
    """
    if not callable(getattr(model, "recommend", None)):
        raise TypeError(f"model: expected an object with a method recommend, got {type(model).__name__}")
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {PROTOCOLS}, got {protocol!r}")
    names = _check_metrics(metrics)
    cutoffs = _check_cutoffs(k)
    if batch_size is not None and check_count(batch_size, "batch_size") < 1:
        raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    if isinstance(train, Interactions):
        known = getattr(model, "interactions_", train)
        test, train = aligned(known.item_ids, test, train, default=train)
    shown = as_csr(train, "train")
    targets = check_held_out(test, "test")
    if shown.shape != targets.shape:
        raise ValueError(f"test: expected the shape of train, {shown.shape}, got {targets.shape}")

    users = np.flatnonzero(np.diff(targets.indptr))
    in_time = isinstance(train, Interactions) and getattr(model, "sequential", False)
    rows: Any = train if in_time else shown.scipy(np.float32 if shown.values is None else shown.values.dtype)
    if len(users) < len(targets.indptr) - 1:
        rows = _part(rows, users)
    top = np.full((targets.shape[0], max(cutoffs)), -1, np.int32)
    for begin in range(0, len(users), batch_size or len(users)):
        batch = users[begin : begin + (batch_size or len(users))]
        part = rows if len(batch) == len(users) else _part(rows, np.arange(begin, begin + len(batch)))
        items, _ = model.recommend(part, k=max(cutoffs), exclude_seen=True)
        if in_time:  # asked by ids, it answers by ids
            items = train._items.find(np.ravel(items)).reshape(np.shape(items)).astype(np.int32)
        top[batch] = _check_items(items, (len(batch), max(cutoffs)), targets.shape[1])
    sums, counted = ranking_sums(top, targets, cutoffs, num_threads=num_threads)
    results = {}
    for name in names:
        for s in sums:
            metric = measure("truncated_recall" if name == "recall" and protocol == "strong" else name, s, counted)
            results[metric.name] = metric
    return Evaluation(results, protocol)


def tail_users(train: Any, share: float = 0.25) -> NDArray[np.int64]:
    """The users with the fewest interactions; for tail items pass ``train.T``.

    Parameters
    ----------
    train : sparse matrix, (users, items), or Interactions
        Interactions of the training.
    share : float
        Of all users, above 0 and at most 1; a quarter in Zhang et al., KDD 2021.

    Returns
    -------
    ndarray of int64, (share of the users, rounded down but at least one,)
        Positions, ascending; of users with as many interactions the first ones.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> fastlae.evaluation.tail_users(sp.csr_matrix([[1, 1, 1], [0, 1, 0], [1, 1, 0], [1, 0, 1]]))
    array([1])
    """
    if not isinstance(share, (int, float, np.floating)) or not 0 < share <= 1:
        raise ValueError(f"share: expected a number above 0 and at most 1, got {share!r}")
    count = np.diff(as_csr(train, "train").indptr)
    if not len(count):
        raise ValueError("train: expected users, got none")
    return np.sort(np.argsort(count, kind="stable")[: max(1, int(share * len(count)))])


def _part(rows: Any, places: NDArray[Any]) -> Any:
    """Some rows of a matrix or of an `Interactions`."""
    return rows._rows(places) if isinstance(rows, Interactions) else rows[places]


def aligned(item_ids: Any, targets: Any, fold_in: Any, *, default: Interactions) -> tuple[Any, Any]:
    """Targets and what is shown with the columns `item_ids` and the rows of what is shown (`default` if None)."""
    shown = default if fold_in is None else fold_in
    if not isinstance(shown, Interactions) or not isinstance(targets, Interactions):
        return targets, fold_in
    strangers = shown._users.find(targets.user_ids) < 0
    if strangers.any():
        raise DataError(
            f"nothing is known of {int(strangers.sum())} of the {len(strangers)} users with targets, such as "
            f"{targets.user_ids[np.argmax(strangers)]!s}"
        )
    matched = targets.align(item_ids, shown.user_ids)
    return matched, None if fold_in is None else fold_in.align(item_ids)


def _check_items(items: Any, shape: tuple[int, int], n_items: int) -> NDArray[Any]:
    lists: NDArray[Any] = np.asarray(items)
    if lists.shape != shape or lists.dtype.kind not in "iu":
        raise ValueError(
            f"model: expected recommend to return items of an integer type and shape {shape}, "
            f"got {lists.dtype} and shape {lists.shape}"
        )
    if lists.min() < -1 or lists.max() >= n_items:
        raise ValueError(
            f"model: expected recommend to return items below {n_items}, or -1, got {lists.min()} to {lists.max()}"
        )
    return lists


def _check_metrics(metrics: str | Iterable[str]) -> list[str]:
    names = list(dict.fromkeys([metrics] if isinstance(metrics, str) else metrics))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise ValueError(f"metrics: expected some of {METRICS}, got {unknown or names}")
    return names


def _check_cutoffs(k: Any) -> list[int]:
    given = list(k) if isinstance(k, Iterable) else [k]
    cutoffs = sorted({check_count(one, "k") for one in given})
    if not cutoffs or cutoffs[0] < 1:
        raise ValueError(f"k: expected one or more numbers of at least 1, got {k!r}")
    return cutoffs
