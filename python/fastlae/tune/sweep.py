"""A grid search over the diagonal family at the price of its distinct inverses.

With seen items masked, alpha never changes a ranking and beta only rescales columns of scores. So for one Lambda there
is one inverse and one product S = X C, and every model, every (a, b), every xi and every popularity_power costs one
column scaling and one selection.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np

from .. import _memory, _progress, evaluation, ops
from .._arrays import Place, device_csr, on_cuda, place_for
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..errors import NotPositiveDefiniteError
from ..evaluation.evaluate import aligned
from ..models.device_inverse import DeviceEngine
from ..models.full_rank import DEQL
from ..models.inverse import Inverse, ItemsInverse, build_inverse, choose_form, row_blocks, take_rows
from ..models.linear import LinearAutoencoder, check_condition, gram_diagonal, invertible_ridge, user_weights
from ..ops.gram import check_float
from ..ops.topk import check_count, hidden_items, slice_hidden, topk_scaled
from ..ops.weights import check_number, deql_scale
from .checkpoint import Checkpoint, fingerprint
from .result import SweepResult

_log = logging.getLogger("fastlae")


def sweep(
    train: Any,
    validation: Any,
    *,
    models: str | type[LinearAutoencoder] | Iterable[str | type[LinearAutoencoder]] = ("EASE", "DLAE", "EDLAE", "DEQL"),
    ridge: Iterable[float] = (50.0, 100.0, 200.0, 400.0, 800.0),
    dropout: Iterable[float] = (0.3, 0.5, 0.7),
    a: Iterable[float] = (1.0,),
    b: Iterable[float] = (0.1, 0.25, 0.5, 1.0),
    xi: Iterable[float] = (0.0, 0.2, 0.4, 0.6),
    user_power: Iterable[float] = (0.0,),
    popularity_power: Iterable[float] = (0.0,),
    fold_in: Any = None,
    metric: str = "ndcg",
    k: int = 20,
    refit: bool = True,
    form: str = "auto",
    dtype: Any = "float32",
    num_threads: int = 0,
    checkpoint: str | PathLike[str] | None = None,
    device: str | None = None,
) -> SweepResult:
    """Try every combination; one inverse per distinct (ridge, dropout, user_power).

    Parameters
    ----------
    train : sparse matrix, (users, items), or Interactions
        Interactions to learn from.
    validation : sparse matrix, or Interactions
        Targets. Weak protocol (no `fold_in`): (users, items), of the users of `train`, whose rows of `train` are
        scored and masked. Strong protocol: (held-out users, items), row by row for `fold_in`.
    models : one or several names or classes
        Of "LAE", "EASE", "DLAE", "EDLAE", "RLAE", "RDLAE" and "DEQL".
    ridge : floats
        What is added to the diagonal beside (p/q) d: `l2` for every model but DEQL, whose l2 is ``ridge * g`` with
        g = q^2 (p a^2 + q b^2); the table has both.
    dropout, a, b, xi, user_power, popularity_power : floats
        Used by the models that have them.
    fold_in : sparse matrix, (held-out users, items), or Interactions, optional
        What is known of users that were not trained on. Where all are `Interactions`, rows and columns are matched by
        id; otherwise by position.
    metric : str
        A function of `fastlae.evaluation`: "ndcg", "recall", "precision", "hit_rate", "f1", "mrr" or
        "mean_average_precision". Recall divides by the number of targets in the weak and by min(k, that) in the strong
        protocol.
    k : int
        Length of the lists.
    refit : bool
        Fit the best point on `train`.
    form, dtype, num_threads, device
        As of the models. With device="cuda" (or matrices there), inverses, scores and selections stay on the device;
        lists of k items come back to be measured.
    checkpoint : path-like, optional
        A file that every point is added to as soon as it is measured, one JSON object a line. Points that are in it are
        not measured again: a sweep that was interrupted, or is now asked for more points, goes on from there.

    Returns
    -------
    SweepResult

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.
    DataError
        If `checkpoint` is something else, or has points of other data or another metric.
    NotPositiveDefiniteError
        If no point has an inverse. Where some have, the others are left out, and a warning is logged.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.data.make_interactions(n_users=300, n_items=80, seed=1)
    >>> train, validation = fastlae.data.split_weak(X, seed=1)
    >>> result = fastlae.sweep(train, validation, models=["EASE", "EDLAE"], ridge=[5, 50], dropout=[0.3, 0.6])
    >>> len(result.table), result.inverses
    (6, 6)
    >>> result.model.recommend(train, k=5)[0].shape
    (300, 5)
    """
    threads = resolve_threads(num_threads)
    dtype = check_float(dtype)
    if isinstance(train, Interactions):
        validation, fold_in = aligned(train.item_ids, validation, fold_in, default=train)
    place = place_for(device, train, fold_in)
    if place is not None:
        train, validation, fold_in = (_on_host(x, place, dtype) for x in (train, validation, fold_in))
    X = as_csr(train, "train", dtype=dtype, nonnegative=True)
    targets = as_csr(validation, "validation", cols=X.shape[1])
    rows = X if fold_in is None else as_csr(fold_in, "fold_in", dtype=dtype, cols=X.shape[1], nonnegative=True)
    if targets.shape[0] != rows.shape[0]:
        which = "train" if fold_in is None else "fold_in"
        raise ValueError(f"validation: expected {rows.shape[0]} rows, as {which} has, got {targets.shape[0]}")
    with_targets = np.flatnonzero(np.diff(targets.indptr))
    if not with_targets.size:
        raise ValueError("validation: no user has a target")
    check_count(k, "k")
    measure = _metric(metric, k, strong=fold_in is not None)
    grid = {"ridge": ridge, "dropout": dropout, "a": a, "b": b, "xi": xi}
    grid |= {"user_power": user_power, "popularity_power": popularity_power}
    common = {"form": form, "dtype": dtype.name, "num_threads": num_threads}
    if place is not None:
        common["device"] = device or f"cuda:{place.device}"
    groups = _group(_points(models, {name: _values(name, v) for name, v in grid.items()}, common))

    all_rows = with_targets.size == rows.shape[0]
    asked = rows if all_rows else take_rows(rows, with_targets)
    wanted = targets if all_rows else take_rows(targets, with_targets)
    wanted_scipy = wanted.scipy()
    engine: Any = (
        _Host(X, asked, dtype, threads) if place is None else DeviceEngine(X, asked, with_targets, dtype, place)
    )
    name = f"{metric}@{k}"
    kept = None
    if checkpoint is not None:
        protocol = "weak" if fold_in is None else "strong"
        kept = Checkpoint(checkpoint, {"metric": name, "dtype": dtype.name, "protocol": protocol,
                                       "data": fingerprint(X, asked, wanted)})  # fmt: skip
    table: list[tuple[dict[str, Any], LinearAutoencoder]] = []
    failed: NotPositiveDefiniteError | None = None
    left_out = 0
    if kept is not None:
        for key, points in list(groups.items()):
            open_ = []
            for model, record in points:
                value = kept.value(record)
                if value is None:
                    open_.append((model, record))
                else:
                    table.append(({**record, name: value}, model))
            groups[key] = open_
    groups = {key: points for key, points in groups.items() if points}
    with _progress.span("sweep"):
        for (ridge_value, p, gamma), points in _progress.steps(list(groups.items()), "inverse"):
            weights = user_weights(X, gamma)
            d = gram_diagonal(X, weights)
            Lambda = invertible_ridge(p / (1.0 - p) * d + ridge_value, d)
            for model in {id(m): m for m, _ in points}.values():
                model._check(X.shape[1])
            try:
                with _progress.span("inverse", 0.0, 0.8):
                    inverse = engine.inverse(weights, gamma, Lambda, form)
                    c = inverse.diagonal()
                check_condition(c, d + Lambda, dtype)
            except NotPositiveDefiniteError as error:
                failed, inverse = error.with_traceback(None), None  # its frames hold the matrix
                left_out += 1
                where = f"ridge={ridge_value:g}, dropout={p:g}, user_power={gamma:g}"
                _log.warning("sweep: left out %s: %s", where, error)
                continue
            scales = [model.final_diagonals(c, d, Lambda).beta.astype(dtype) for model, _ in points]
            lists = engine.rank(inverse, scales, d == 0, k)
            values = [float(measure(items, wanted_scipy)) for items in lists]
            if kept is not None:
                kept.add([record for _, record in points], values)
            table += [({**record, name: v}, model) for (model, record), v in zip(points, values, strict=True)]
            del inverse
            _log.info("sweep: %d points", len(table))
    if failed is not None and not table:
        raise failed
    table.sort(key=lambda row: -row[0][name])
    best = table[0][1].fit(train) if refit else None
    return SweepResult([row for row, _ in table], name, best, len(groups) - left_out)


def _on_host(x: Any, place: Place, dtype: Any) -> Any:
    return device_csr(x, place, dtype=dtype).to_host() if on_cuda(x) else x


class _Host:
    """Inverses for one X, keeping the Gram matrix between them where memory is plentiful; and lists made with them."""

    def __init__(self, X: Csr, asked: Csr, dtype: Any, num_threads: int) -> None:
        self.X, self.asked, self.dtype, self.num_threads = X, asked, dtype, num_threads
        self.power: float | None = None
        self.kept: Any = None

    def inverse(self, weights: Any, power: float, ridge: Any, form: str) -> Inverse:
        """The inverse for one Lambda."""
        chosen, storage = choose_form(self.X, ridge, form, "auto", self.dtype)
        options: dict[str, Any] = {"storage": storage, "dtype": self.dtype, "num_threads": self.num_threads}
        if chosen == "users" or storage == "packed":
            return build_inverse(self.X, weights, ridge, form=chosen, **options)
        free = _memory.available_memory()
        if self.power != power:
            self.kept = None
            if free is not None and 8 * self.X.shape[1] ** 2 * self.dtype.itemsize < free:
                self.kept = ops.gram(self.X, user_weights=weights, dtype=self.dtype, num_threads=self.num_threads)
            self.power = power
        return ItemsInverse.fit(self.X, weights, ridge, gram=self.kept, **options)

    def rank(self, inverse: Inverse, scales: list[Any], never: Any, k: int) -> list[Any]:
        """The k best items of every row asked for, for every column scaling of X C, seen items masked."""
        X = self.asked
        seen, _ = hidden_items(X, X.shape[1], exclude_seen=True, items=None, forbid=None)
        # What nobody touched never wins: NaN is above nothing, and costs less than to look for it.
        stack = np.where(never, np.nan, np.stack(scales)).astype(scales[0].dtype)
        lists = np.empty((len(scales), X.shape[0], k), np.int32)
        for begin, end in row_blocks(*X.shape, stack.itemsize, most_rows=8192):
            whole = begin == 0 and end == X.shape[0]
            scores = inverse.product(X if whole else X.rows(begin, end))
            lists[:, begin:end] = topk_scaled(scores, k, stack, slice_hidden(seen, begin, end), self.num_threads)
        lists[:, np.diff(X.indptr) == 0] = -1  # a user with nothing is recommended nothing, as the models do it
        return list(lists)


def _points(
    models: str | type[LinearAutoencoder] | Iterable[str | type[LinearAutoencoder]],
    grid: dict[str, list[float]],
    common: dict[str, Any],
) -> list[tuple[LinearAutoencoder, dict[str, Any]]]:
    """Every combination as an unfitted model, with its row of the table."""
    points = []
    for model in [models] if isinstance(models, (str, type)) else models:
        cls: Any = _model_class(model)
        names = [name for name in grid if name == "ridge" or name in cls._param_names()]
        for values in itertools.product(*(grid[name] for name in names)):
            params = dict(zip(names, values, strict=True))
            l2 = params["ridge"]
            if issubclass(cls, DEQL):
                l2 *= deql_scale(params["dropout"], params["a"], params["b"])
            own = {name: value for name, value in params.items() if name != "ridge"}
            record = {"model": cls.__name__, "ridge": params["ridge"], "l2": l2, **own}
            points.append((cls(l2=l2, **own, **common), record))
    if not points:
        raise ValueError("models: expected at least one")
    return points


def _group(points: list[Any]) -> dict[tuple[float, float, float], list[Any]]:
    """Points by what decides the inverse; user_power outermost, so that a Gram matrix serves many."""
    groups: dict[tuple[float, float, float], list[Any]] = {}
    for model, record in sorted(points, key=lambda point: point[1]["user_power"]):
        key = (record["ridge"], record.get("dropout", 0.0), record["user_power"])
        groups.setdefault(key, []).append((model, record))
    return groups


def _model_class(model: str | type[LinearAutoencoder]) -> type[LinearAutoencoder]:
    from ..models.base import Recommender

    cls: Any = Recommender.registry.get(model) if isinstance(model, str) else model
    if not can_sweep(cls):
        known = sorted(n for n, c in Recommender.registry.items() if can_sweep(c))
        raise ValueError(f"models: expected names or classes among {', '.join(known)}, got {model!r}")
    found: type[LinearAutoencoder] = cls
    return found


def can_sweep(cls: Any) -> bool:
    """Whether a model is of the diagonal family, which one inverse makes for many hyperparameters."""
    return (
        isinstance(cls, type)
        and issubclass(cls, LinearAutoencoder)
        and cls._diagonals is not LinearAutoencoder._diagonals
    )


def _values(name: str, values: Iterable[float]) -> list[float]:
    values = list(values) if isinstance(values, Iterator) else values
    if np.ndim(values) != 1:  # type: ignore[arg-type]
        raise TypeError(f"{name}: expected a list of numbers, got {values!r}")
    numbers = [check_number(v, name) for v in values]
    if not numbers:
        raise ValueError(f"{name}: expected at least one number, got {values!r}")
    if name == "dropout" and not all(0 <= v < 1 for v in numbers):
        raise ValueError(f"dropout: expected probabilities in [0, 1), got {values!r}")
    if name in ("ridge", "a", "b") and min(numbers) < 0:
        raise ValueError(f"{name}: expected numbers of at least 0, got {values!r}")
    return numbers


def _metric(name: str, k: int, *, strong: bool) -> Any:
    names: Sequence[str] = ("ndcg", "recall", "precision", "hit_rate", "f1", "mrr", "mean_average_precision")
    if name not in names:
        raise ValueError(f"metric: expected one of {', '.join(names)}, got {name!r}")
    function = getattr(evaluation, name)
    if name == "recall":
        return lambda top, held_out: function(top, held_out, k=k, truncated=strong)
    return lambda top, held_out: function(top, held_out, k=k)
