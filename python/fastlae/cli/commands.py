"""The commands on a model: fit, recommend, explain and similar; and what the commands share."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import load
from .._names import did_you_mean
from ..data import Interactions
from ..errors import DataError
from ..models import LinearAutoencoder, Recommender
from ..ops.topk import check_count
from .names import Names, typed
from .output import Destination, aligned, destination, writable, write

MAIN = ("l2", "dropout", "b", "user_power")  # hyperparameters with an option of their own
_PEOPLE = 5  # users whose recommendations are shown where nobody says whose


def fit(options: Namespace) -> None:
    """`fastlae fit`."""
    path = writable(options.output, force=options.force)
    model = model_class(options.model)(**hyperparameters(options.model, options))
    if options.sparsify is not None:
        check_count(options.sparsify, "--sparsify")
        able(model, "sparsify", "--sparsify")
    X = read(options)
    print(f"{options.data}: {describe(X)}", flush=True)
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    if options.sparsify is not None:
        model = model.sparsify(top_k=options.sparsify)
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
        X = X.select([typed(text, X._users) for text in dict.fromkeys(options.users)])
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
    able(model, "similar_items", "similar")
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
    able(model, "explain", "explain")
    check_count(options.k, "k")
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
    bias = getattr(model, "bias_", None)
    own = 0.0 if bias is None else float(bias[model.interactions_.item_positions([item])[0]])
    text = f"item {names.label(item)} for user {one.user_ids[0]}: score {parts.sum() + own:.4f}, the sum of\n"
    text += aligned(columns, "  ")
    if len(has) > k:
        text += f"  and {parts[k:].sum():.4f} from {len(has) - k} other items\n"
    if own:
        text += f"  and {own:.4f} that the item has for everybody\n"
    if seen:
        text += "(the user has this item, so it is not recommended)\n"
    write(columns, to, table=text)


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
    """A model by name, in any case; those of `fastlae.nn` are known where torch is."""
    if name.lower() not in map(str.lower, Recommender.registry):
        with contextlib.suppress(ImportError):
            importlib.import_module("fastlae.nn")
    known = {n: c for n, c in Recommender.registry.items() if not inspect.isabstract(c) and c is not LinearAutoencoder}
    for one, cls in known.items():
        if one.lower() == name.lower():
            return cls
    raise ValueError(f"unknown model {name!r}{did_you_mean(name, known)} (there are {', '.join(known)})")


def able(model: Any, method: str, command: str) -> None:
    """Refuse models that lack a method."""
    if not hasattr(model, method):
        raise ValueError(f"{command} needs a model with weights from item to item, and {type(model).__name__} has none")


def hyperparameters(name: str, options: Namespace, *, others: Sequence[str] = ()) -> dict[str, Any]:
    """What was said of a model's hyperparameters; what only `others` of the same command have is passed over."""
    cls = model_class(name)
    params: dict[str, Any] = {}
    for text in options.set or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: expected NAME=VALUE, as in --set l2=200")
        params[key.strip().replace("-", "_")] = _value(value.strip())
    for key in MAIN:
        if getattr(options, f"model_{key}") is not None:
            params[key] = getattr(options, f"model_{key}")
    known = cls._param_names()
    for key in list(params):
        if key not in known:
            if any(key in model_class(other)._param_names() for other in others):
                del params[key]
                continue
            raise ValueError(
                f"{cls.__name__} has no hyperparameter {key!r}{did_you_mean(key, known)} (it has {', '.join(known)})"
            )
    return {"num_threads": options.threads} | params


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "," in text:
        return [_value(part.strip()) for part in text.split(",")]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def describe(X: Interactions) -> str:
    """How much there is."""
    return repr(X).removeprefix("<Interactions: ").removesuffix(">")
