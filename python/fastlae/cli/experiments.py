"""The commands that measure: evaluate and sweep."""

from __future__ import annotations

import inspect
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import evaluation, tune
from ..data import Split, load_split
from ..errors import DataError
from ..models import LinearAutoencoder
from .commands import MAIN, describe, hyperparameters, model_class, read
from .names import Names
from .output import aligned, destination, writable, write
from .report import Measured, Person, Report, recall_note
from .report import check as check_report
from .stages import Stages

# What is tried where nobody says what to try; ridge and dropout decide how many matrices are inverted.
TRIED: dict[str, Any] = {
    "ridge": [10, 30, 100, 300, 1000],
    "dropout": [0.3, 0.5, 0.7],
    "b": [0.1, 0.3, 0.6],
    "user_power": [0.0, 0.5],
}
_PEOPLE, _THEIR_ITEMS, _REASONS = 3, 5, 3  # of a report


def evaluate(options: Namespace) -> None:
    """`fastlae evaluate`."""
    to = destination(options.output, options.format, force=options.force)
    report_path = writable(options.report, force=options.force) if options.report else None
    if report_path is not None:
        check_report()
    names = options.model or ["Popularity", "EASE", "EDLAE", "DEQL"]
    given = {name: hyperparameters(name, options, others=names) for name in names}
    measured = [one.strip() for one in options.metrics.split(",")]
    stages = Stages()
    parts, title = _split(options, stages)
    split_path = _split_path(options, to.path or report_path)
    to.say(title)
    to.say(f"{parts.protocol} protocol, seed {parts.seed}: {repr(parts)[1:-1].split(': ', 1)[1]}")
    if split_path is not None:
        parts.save(split_path, overwrite=options.force)
    tuning = _Tuning(parts, options, stages)
    rows: list[dict[str, Any]] = []
    results: list[Measured] = []
    best: Any = None
    for name in names:
        chosen = tuning.best(name, given[name]) | given[name]
        model = model_class(name)(**chosen)
        with stages.measured(f"fit {name}"):
            model.fit(parts.train)
        seconds = stages[-1].seconds
        sizes = options.sparsify if options.sparsify and issubclass(model_class(name), LinearAutoencoder) else []
        for top_k in [None, *sizes]:
            one = model if top_k is None else model.sparsify(top_k=top_k)
            label = name if top_k is None else f"{name}, top {top_k}"
            with stages.measured(f"evaluate {label}"):
                result = evaluation.evaluate(
                    one, parts.test_fold_in, parts.test, k=options.k, metrics=measured, protocol=parts.recall
                )
            figures = {metric: round(float(value), 6) for metric, value in result.items()}
            shown = call(model) + ("" if top_k is None else f", {top_k} weights an item")
            rows.append({"model": shown, **figures, "fit_seconds": round(seconds, 3)})
            if report_path is not None:
                counts = recommended(one, parts.test_fold_in, parts.train.shape[1], max(options.k))
                results.append(Measured(label, shown, result, counts, seconds, top_k is not None))
                if best is None or _decisive(results[-1]) > _decisive(best[1]):
                    best = one, results[-1]
    text = aligned(columns_of(rows))
    text += f"{result.n_users:,} users with held-out items; recall divides by "
    text += "the smaller of k and their number\n" if parts.recall == "strong" else "their number\n"
    if tuning.done:
        text += "hyperparameters were chosen on the validation part\n"
    write(columns_of(rows), to, table=text)
    if split_path is not None:
        to.say(f"the split is in {split_path}")
    if report_path is not None:
        _report(options, parts, title, results, best[0], stages, tuning).write(report_path)
        to.say(f"report written to {report_path}")


def sweep(options: Namespace) -> None:
    """`fastlae sweep`."""
    to = destination(options.output, options.format, force=options.force)
    model_path = writable(options.save_model, force=options.force) if options.save_model else None
    plot_path = writable(options.plot, force=options.force) if options.plot else None
    if plot_path is not None:
        check_report()
        if plot_path.suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"--plot {plot_path}: expected a name that ends in .png, .svg or .pdf")
    names = options.model or ["EASE", "EDLAE", "DEQL"]
    for name in names:
        if not tune.can_sweep(model_class(name)):
            raise ValueError(f"sweep needs a linear model of full rank, and {model_class(name).__name__} is none")
    parts, title = _split(options, Stages())
    if parts.validation is None:
        raise DataError("the split has no validation part: --validation says how large it is to be")
    to.say(title)
    grid: dict[str, Any] = {name: getattr(options, name) or values for name, values in TRIED.items()}
    start = time.perf_counter()
    try:
        found = tune.sweep(
            parts.train,
            parts.validation,
            fold_in=None if parts.users_are_the_same else parts.validation_fold_in,
            models=[model_class(name) for name in names],
            metric=options.metric,
            k=options.k,
            refit=False,
            num_threads=options.threads,
            checkpoint=options.checkpoint,
            **grid,
        )
    except KeyboardInterrupt:
        if options.checkpoint:
            raise KeyboardInterrupt(f"what is measured is in {options.checkpoint}, the same command goes on") from None
        raise
    seconds = time.perf_counter() - start
    keys = list(dict.fromkeys(key for row in found.table for key in row))
    columns = {key: _column([row.get(key) for row in found.table]) for key in keys}
    text = f"{found}\n{len(found.table)} points with {found.inverses} inverses in {seconds:.1f} s\n"
    write(columns, to, table=text)
    if plot_path is not None:
        found.plot(plot_path)
        to.say(f"heat maps written to {plot_path}")
    if model_path is not None:
        own = {key: value for key, value in found.best.items() if key not in ("model", "ridge", found.metric)}
        X = parts.train if is_cut(options.data) else read(options)
        model = model_class(found.best["model"])(**own, num_threads=options.threads).fit(X)
        model.save(model_path)
        to.say(f"{model} fitted on all interactions, written to {model_path}")


class _Tuning:
    """Hyperparameters that the user leaves open: the best point of a small grid on the validation part."""

    def __init__(self, parts: Split, options: Namespace, stages: Stages) -> None:
        self.parts, self.options, self.stages = parts, options, stages
        self.sweeps: list[Any] = []

    @property
    def done(self) -> bool:
        """Whether anything was chosen."""
        return bool(self.sweeps)

    def best(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """What is chosen for a model beside what is given."""
        cls = model_class(name)
        if not tune.can_sweep(cls) or "l2" in given or self.options.no_tuning:
            return {}
        train, validation, fold_in = self.parts.train, self.parts.validation, self.parts.validation_fold_in
        if validation is None:
            return {}
        grid: dict[str, Any] = {key: [given[key]] if key in given else values for key, values in TRIED.items()}
        grid |= {key: [given[key]] for key in ("a", "xi", "popularity_power") if key in given}
        with self.stages.measured(f"choose for {name}"):
            found = tune.sweep(
                train,
                validation,
                fold_in=None if self.parts.users_are_the_same else fold_in,
                models=[cls],
                refit=False,
                num_threads=self.options.threads,
                **grid,
            )
        self.sweeps.append(found)
        return {key: value for key, value in found.best.items() if key in cls._param_names()}


def _split(options: Namespace, stages: Stages) -> tuple[Split, str]:
    """The parts, and a line about the data."""
    if is_cut(options.data):
        given = [name for name in ("test", "validation") if getattr(options, name) is not None]
        if given:
            raise ValueError(f"--{given[0]}: {options.data} is cut into parts already")
        with stages.measured("read"):
            parts = load_split(options.data)
        return parts, f"{options.data}: train {describe(parts.train)}"
    with stages.measured("read"):
        X = read(options)
    with stages.measured("split"):
        parts = X.split(options.protocol, seed=options.seed, **_split_options(options))
    return parts, f"{options.data}: {describe(X)}"


def is_cut(name: str) -> bool:
    """Whether this is a split, rather than a file of interactions."""
    return Path(name).is_dir() or name.endswith(".npz")


def _split_path(options: Namespace, result: Path | None) -> Path | None:
    """Where the split goes: where the user says, else beside the result; a split that was read is somewhere already."""
    if options.save_split:
        path = Path(options.save_split)
    elif result is None or is_cut(options.data):
        return None
    else:
        path = result.with_suffix(".split.npz")
    if path.exists() and not options.force:
        raise FileExistsError(f"{path} exists; --force overwrites it")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    return path


def _split_options(options: Namespace) -> dict[str, Any]:
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


# The report.


def _decisive(one: Measured) -> float:
    names = [name for name in one.evaluation if name.startswith("ndcg")] or list(one.evaluation)
    return float(one.evaluation[names[-1]])


def _report(
    options: Namespace, parts: Split, title: str, results: list[Measured], best: Any, stages: Stages, tuning: _Tuning
) -> Report:
    train, shown, targets = parts.train, parts.test_fold_in, parts.test
    assert shown is not None
    assert targets is not None
    names = Names(train._items, options.names, options.name_id, options.name_column)
    report = Report(
        title=f"Recommenders on {Path(options.data).name}",
        subtitle=f"{title.split(': ', 1)[1]}; {parts.protocol} protocol, seed {parts.seed}",
        cards=[
            (f"{train.shape[0]:,}", "users to train on"),
            (f"{train.shape[1]:,}", "items"),
            (f"{train.nnz:,}", "interactions to train on"),
            (f"{results[0].evaluation.n_users:,}", "users to test on"),
        ],
        counts=np.bincount(train._csr.indices, minlength=train.shape[1]),
        activity=np.diff(shown._csr.indptr),
        k=max(options.k),
        notes=[
            recall_note(parts.recall),
            *(["Hyperparameters were chosen on the validation part, which the figures above did not see."]
              if tuning.done else []),
        ],
        models=results,
        recommender=results[0].name,
        sweeps=tuning.sweeps,
        stages=stages,
    )  # fmt: skip
    report.recommender = report.best.shown
    report.people = people(best, shown._csr.scipy(), targets._csr.scipy(), shown.user_ids, train.item_ids, names)
    return report


def recommended(model: Any, shown: Any, n_items: int, k: int) -> NDArray[np.int64]:
    """How often each item is in a list of k."""
    matrix = shown if not hasattr(shown, "_csr") else shown._csr
    items = model._recommend(matrix, k, True, None, None)[0]
    return np.bincount(items[items >= 0], minlength=n_items)


def people(model: Any, shown: Any, targets: Any, user_ids: Any, item_ids: Any, names: Names | None) -> list[Person]:
    """The first users with targets, what is recommended to them, and which of their items speak for it most."""

    def label(position: int) -> str:
        one = item_ids[position]
        return (names.names.get(str(one)) if names else None) or f"item {one}"

    found = []
    for user in np.flatnonzero(np.diff(targets.indptr))[:_PEOPLE]:
        row = shown[int(user)]
        held = set(targets[int(user)].indices.tolist())
        items, scores = (part[0] for part in model._recommend(row, _THEIR_ITEMS, True, None, None))
        rows = []
        for item, score in zip(items.tolist(), scores.tolist(), strict=True):
            if item < 0:
                break
            why = "what most users have"
            if hasattr(model, "_explain"):
                places, parts = model._explain(row, item, _REASONS)
                why = "; ".join(f"{label(p)} ({c:+.3f})" for p, c in zip(places, parts, strict=True) if c > 0)
            rows.append((label(item), score, item in held, why))
        found.append(Person(f"User {user_ids[user]}, who has {row.nnz} items", rows))
    return found


# Tables.


def call(model: Any) -> str:
    """The call that makes a model, with the hyperparameters that matter most whether at their defaults or not."""
    usual = {name: one.default for name, one in inspect.signature(type(model)).parameters.items()}
    values = {key: value for key, value in model.get_params().items() if isinstance(value, (int, float, str))}
    keys = [key for key in (*MAIN, "a", "xi") if key in values]
    keys += [key for key, value in values.items() if key not in (*keys, "num_threads") and value != usual[key]]
    told = [f"{key}={value!r}" if isinstance(value := values[key], str) else f"{key}={value:.4g}" for key in keys]
    return f"{type(model).__name__}({', '.join(told)})"


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows with the same keys as columns."""
    return {key: [row[key] for row in rows] for key in rows[0]}


def _column(values: list[Any]) -> Any:
    """Missing numbers as NaN."""
    if any(isinstance(v, str) for v in values):
        return values
    return [np.nan if v is None else v for v in values]
