"""The commands that work on a user's own file: fit, recommend, evaluate, sweep, explain and similar."""

from __future__ import annotations

import inspect
import time
from argparse import Namespace
from typing import Any

import numpy as np

from .. import evaluation, load, tune
from .._names import did_you_mean
from ..data import Interactions
from ..errors import DataError
from ..models import ItemWeights, LinearAutoencoder, Recommender
from .names import Names, typed
from .output import Destination, aligned, destination, writable, write

# What is tried where nobody says what to try; ridge and dropout decide how many matrices are inverted.
_TRIED: dict[str, Any] = {
    "ridge": [10, 30, 100, 300, 1000],
    "dropout": [0.3, 0.5, 0.7],
    "b": [0.1, 0.3, 0.6],
    "user_power": [0.0, 0.5],
}
_MAIN = ("l2", "dropout", "b", "user_power")  # hyperparameters with an option of their own
_PEOPLE = 5  # users whose recommendations are shown where nobody says whose


def fit(options: Namespace) -> None:
    """`fastlae fit`."""
    path = writable(options.output, force=options.force)
    model = model_class(options.model)(**hyperparameters(options.model, options))
    X = read(options)
    print(f"{options.data}: {describe(X)}", flush=True)
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    model.save(path, with_users=not options.without_users)
    print(f"{model} fitted in {seconds:.1f} s, written to {path} ({path.stat().st_size / 1e6:.1f} MB)")


def recommend(options: Namespace) -> None:
    """`fastlae recommend`."""
    to = destination(options.output, options.format, force=options.force)
    model, names = open_model(options)
    known = model.interactions_
    X = known if options.data is None else read(options)
    if not X.shape[0]:
        raise DataError("the model was saved without its users: name a file with their interactions with --data")
    if options.users:
        X = X.select([typed(text, X._users) for text in options.users])
    left_out = 0
    if to == Destination(None, "table") and not options.users and X.shape[0] > _PEOPLE:
        left_out = X.shape[0] - _PEOPLE
        X = X.select(X.user_ids[:_PEOPLE])
    lists = {
        "items": names.find(options.items) if options.items else None,
        "forbid": names.find(options.forbid) if options.forbid else None,
    }
    items, scores = model.recommend(X, options.k, exclude_seen=not options.include_seen, **lists)
    filled = np.isfinite(scores)
    counts = filled.sum(1)
    columns = {
        "user": np.repeat(X.user_ids, counts),
        "rank": np.concatenate([np.arange(1, n + 1) for n in counts]) if len(counts) else counts,
        "item": items[filled],
        "score": scores[filled].astype(np.float64).round(6),
    }
    if names:
        columns["name"] = names.of(columns["item"])
    text = ""
    if to.format == "table":
        sizes = np.diff(X._csr.indptr)
        for user, size, row, score, ok in zip(X.user_ids, sizes, items, scores, filled, strict=True):
            text += f"user {user} ({size} item{'' if size == 1 else 's'})\n"
            shown = {"rank": np.arange(1, ok.sum() + 1), "score": score[ok].astype(float), "item": row[ok]}
            text += aligned(shown | ({"name": names.of(row[ok])} if names else {}), "  ") + "\n"
        text = text.rstrip("\n") + "\n"
        if left_out:
            text += f"\n... and {left_out:,} more users: choose some with --users, or write all with --output FILE\n"
    write(columns, to, table=text)


def similar(options: Namespace) -> None:
    """`fastlae similar`."""
    to = destination(options.output, options.format, force=options.force)
    model, names = open_model(options)
    linear(model, "similar")
    asked = names.find(options.items)
    items, weights = model.similar_items(asked, options.k)
    filled = np.isfinite(weights)
    counts = filled.sum(1)
    columns = {
        "item": np.repeat(np.array(asked), counts),
        "similar": items[filled],
        "weight": weights[filled].astype(np.float64).round(6),
    }
    if names:
        columns["name"] = names.of(columns["similar"])
    text = ""
    for one, row, weight, ok in zip(asked, items, weights, filled, strict=True):
        text += f"similar to {names.label(one)}\n"
        shown = {"weight": weight[ok].astype(float), "item": row[ok]}
        text += aligned(shown | ({"name": names.of(row[ok])} if names else {}), "  ")
    write(columns, to, table=text)


def explain(options: Namespace) -> None:
    """`fastlae explain`."""
    to = destination(options.output, options.format, force=options.force)
    model, names = open_model(options)
    linear(model, "explain")
    X = model.interactions_ if options.data is None else read(options)
    if not X.shape[0]:
        raise DataError("the model was saved without its users: name a file with their interactions with --data")
    one = X.select([typed(options.user_id, X._users)])
    item = names.find([options.item_id])[0]
    has, parts = model.explain(one, item, k=max(1, one.nnz))
    k = min(options.k, len(has))
    columns = {"contribution": parts[:k].round(6), "item": has[:k]}
    if names:
        columns["name"] = names.of(has[:k])
    seen = item in has.tolist()
    text = f"item {names.label(item)} for user {one.user_ids[0]}: score {parts.sum():.4f}, the sum of\n"
    text += aligned(columns, "  ")
    if len(has) > k:
        text += f"  and {parts[k:].sum():.4f} from {len(has) - k} other items\n"
    if seen:
        text += "(the user has this item, so it is not recommended)\n"
    write(columns, to, table=text)


def evaluate(options: Namespace) -> None:
    """`fastlae evaluate`."""
    to = destination(options.output, options.format, force=options.force)
    names = options.model or ["Popularity", "EASE", "EDLAE", "DEQL"]
    given = {name: hyperparameters(name, options, only_known=len(names) > 1) for name in names}
    measured = [one.strip() for one in options.metrics.split(",")]
    X = read(options)
    parts = X.split(options.protocol, seed=options.seed, **split_options(options))
    to.say(f"{options.data}: {describe(X)}")
    to.say(f"{options.protocol} protocol, seed {options.seed}: {repr(parts)[1:-1].split(': ', 1)[1]}")
    if options.save_split:
        parts.save(options.save_split, overwrite=options.force)
    rows: list[dict[str, Any]] = []
    for name in names:
        chosen = given[name] | _tuned(name, given[name], parts, options)
        model = model_class(name)(**chosen)
        start = time.perf_counter()
        model.fit(parts.train)
        seconds = time.perf_counter() - start
        result = evaluation.evaluate(
            model, parts.test_fold_in, parts.test, k=options.k, metrics=measured, protocol=parts.recall
        )
        figures = {metric: round(float(value), 6) for metric, value in result.items()}
        rows.append({"model": _shown(model), **figures, "fit_seconds": round(seconds, 3)})
    text = aligned(_columns(rows))
    text += f"{result.n_users:,} users with held-out items; recall divides by "
    text += "the smaller of k and their number\n" if parts.recall == "strong" else "their number\n"
    if any("l2" not in given[name] and name != "Popularity" for name in names) and parts.validation is not None:
        text += "hyperparameters were chosen on the validation part\n"
    write(_columns(rows), to, table=text)


def sweep(options: Namespace) -> None:
    """`fastlae sweep`."""
    to = destination(options.output, options.format, force=options.force)
    model_path = writable(options.save_model, force=options.force) if options.save_model else None
    names = options.model or ["EASE", "EDLAE", "DEQL"]
    for name in names:
        if not tune.can_sweep(model_class(name)):
            raise ValueError(f"sweep needs a linear model of full rank, and {model_class(name).__name__} is none")
    X = read(options)
    parts = X.split(options.protocol, seed=options.seed, **split_options(options))
    if parts.validation is None:
        raise DataError("the split has no validation part: --validation says how large it is to be")
    to.say(f"{options.data}: {describe(X)}")
    grid: dict[str, Any] = {name: getattr(options, name) or values for name, values in _TRIED.items()}
    start = time.perf_counter()
    found = tune.sweep(
        parts.train,
        parts.validation,
        fold_in=None if parts.users_are_the_same else parts.validation_fold_in,
        models=names,
        metric=options.metric,
        k=options.k,
        refit=False,
        num_threads=options.threads,
        **grid,
    )
    seconds = time.perf_counter() - start
    keys = list(dict.fromkeys(key for row in found.table for key in row))
    columns = {key: _column([row.get(key) for row in found.table]) for key in keys}
    text = f"{found}\n{len(found.table)} points with {found.inverses} inverses in {seconds:.1f} s\n"
    write(columns, to, table=text)
    if model_path is not None:
        own = {key: value for key, value in found.best.items() if key not in ("model", "ridge", found.metric)}
        model = model_class(found.best["model"])(**own, num_threads=options.threads).fit(X)
        model.save(model_path)
        to.say(f"{model} fitted on all interactions, written to {model_path}")


# What the commands share.


def read(options: Namespace) -> Interactions:
    """The user's file, as the options say."""
    columns: dict[str, Any] = {
        role: getattr(options, role) for role in ("user", "item", "rating", "timestamp") if getattr(options, role)
    }
    if options.no_header:
        try:
            columns = {role: int(value) - 1 for role, value in columns.items()}
        except ValueError:
            raise DataError("without a header, columns are numbers, counted from 1") from None
    filters = {
        "min_rating": options.min_rating,
        "min_user_items": options.min_user_items,
        "min_item_users": options.min_item_users,
        "duplicates": options.duplicates,
        "binary": not options.keep_ratings,
    }
    if options.data.endswith((".parquet", ".pq")):
        return Interactions.from_parquet(options.data, id_type=options.id_type, **columns, **filters)
    delimiter = {"tab": "\t", "\\t": "\t"}.get(options.delimiter, options.delimiter)
    return Interactions.from_csv(
        options.data,
        delimiter=delimiter,
        header=not options.no_header,
        id_type=options.id_type,
        **columns,
        **filters,
    )


def open_model(options: Namespace) -> tuple[Any, Names]:
    """The model file, and names for its items."""
    model = load(options.model_file)
    if not hasattr(model, "interactions_"):
        raise DataError(f"{options.model_file} knows no ids, as it was not fitted on an Interactions (`fastlae fit`)")
    return model, Names(model.interactions_._items, options.names, options.name_id, options.name_column)


def model_class(name: str) -> Any:
    """A model by name, in any case."""
    known = {n: c for n, c in Recommender.registry.items() if not inspect.isabstract(c) and c is not LinearAutoencoder}
    for one, cls in known.items():
        if one.lower() == name.lower():
            return cls
    raise ValueError(f"unknown model {name!r}{did_you_mean(name, known)} (there are {', '.join(known)})")


def linear(model: Any, command: str) -> None:
    """Refuse models without weights from item to item."""
    cls = model if isinstance(model, type) else type(model)
    if not issubclass(cls, ItemWeights):
        raise ValueError(f"{command} needs a linear model, and {cls.__name__} is none")


def hyperparameters(name: str, options: Namespace, *, only_known: bool = False) -> dict[str, Any]:
    """What was said of a model's hyperparameters; `only_known`: what other models of the same command have is fine."""
    cls = model_class(name)
    params: dict[str, Any] = {}
    for text in options.set or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: expected NAME=VALUE, as in --set l2=200")
        params[key.strip().replace("-", "_")] = _value(value.strip())
    for key in _MAIN:
        if getattr(options, f"model_{key}") is not None:
            params[key] = getattr(options, f"model_{key}")
    known = cls._param_names()
    for key in list(params):
        if key not in known:
            if only_known:
                del params[key]
                continue
            raise ValueError(
                f"{cls.__name__} has no hyperparameter {key!r}{did_you_mean(key, known)} (it has {', '.join(known)})"
            )
    return params | {"num_threads": options.threads}


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _tuned(name: str, given: dict[str, Any], parts: Any, options: Namespace) -> dict[str, Any]:
    """The best point of a small grid on the validation part, for what the user leaves open."""
    cls = model_class(name)
    if not tune.can_sweep(cls) or "l2" in given or parts.validation is None or options.no_tuning:
        return {}
    grid: dict[str, Any] = {key: [given[key]] if key in given else values for key, values in _TRIED.items()}
    best = tune.sweep(
        parts.train,
        parts.validation,
        fold_in=None if parts.users_are_the_same else parts.validation_fold_in,
        models=[cls],
        refit=False,
        num_threads=options.threads,
        **grid,
    ).best
    return {key: value for key, value in best.items() if key in cls._param_names()}


def split_options(options: Namespace) -> dict[str, Any]:
    """Options of the split that were given."""
    chosen = {}
    for key in ("test", "validation"):
        if getattr(options, key) is not None:
            chosen[key] = getattr(options, key)
    if options.protocol == "weak" and "validation" not in chosen:
        chosen["validation"] = 0.1  # hyperparameters are chosen on it
    if options.protocol == "leave_last_out":
        chosen.pop("test", None)
        if "validation" in chosen:
            chosen["validation"] = bool(chosen["validation"])
    return chosen


def describe(X: Interactions) -> str:
    """How much there is."""
    return repr(X).removeprefix("<Interactions: ").removesuffix(">")


def _shown(model: Any) -> str:
    """The call that makes a model, with the hyperparameters that matter most whether at their defaults or not."""
    params = model.get_params()
    told = [f"{key}={params[key]:.4g}" for key in (*_MAIN, "a", "xi") if isinstance(params.get(key), (int, float))]
    return f"{type(model).__name__}({', '.join(told)})"


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def _column(values: list[Any]) -> Any:
    """Missing numbers as NaN."""
    if any(isinstance(v, str) for v in values):
        return values
    return [np.nan if v is None else v for v in values]
