"""`fastlae demo`: the main job from interactions to recommendations with their reasons, in one go."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import DEQL, EASE, EDLAE, Popularity, data, evaluation, load, tune
from ..ops.weights import deql_scale
from .experiments import TRIED, call, people, recommended
from .output import writable
from .report import Measured, Report, recall_note
from .report import check as check_report
from .stages import Stages

_CUTS = {"recall": (20, 50), "ndcg": (100,)}
# Where a sweep would take long (the cube of the smaller side), values that do well on sparse catalogues.
_SWEEP_UP_TO = 5000
_LARGE = {"ridge": 60.0, "dropout": 0.8, "b": 0.05}


def demo(folder: str | None, *, seed: int, num_threads: int, report: str | None = None) -> None:
    """Split, fit, compare, recommend, explain, save and reload; prints as it goes, and writes a page if asked to."""
    page = None if report is None else writable(report, force=True)
    if page is not None:
        check_report()
    stages = Stages()
    if folder is None:
        with stages.measured("generate"):
            X = data.make_interactions(seed=seed)
        print(f"generated interactions: {_describe(X)}")
        with stages.measured("split"):
            split = data.split_strong(X, seed=seed)
        train, fold_in, targets = split.train, split.test_fold_in, split.test_targets
        validation: Any = {"validation": split.validation_targets, "fold_in": split.validation_fold_in}
        print(f"train {_describe(train)}; {fold_in.shape[0]} other users to test on, four fifths of their items known")
        protocol, sweep_train = "strong", train
    else:
        train, targets = _read(folder)
        print(f"{folder}: train {_describe(train)}; test {targets.nnz:,} of the same users")
        fold_in, protocol = train, "weak"
        with stages.measured("split"):
            sweep_train, part = data.split_weak(train, seed=seed)
        validation = {"validation": part}

    choices, sweeps = _choose(sweep_train, validation, num_threads, stages)
    models: list[Any] = [Popularity(num_threads=num_threads)]
    for cls in (EASE, EDLAE, DEQL):
        chosen = choices[cls.__name__]
        params = {name: chosen[name] for name in ("l2", "dropout", "a", "b", "user_power") if name in chosen}
        models.append(cls(num_threads=num_threads, **params))

    names = [f"{metric}@{k}" for metric, ks in _CUTS.items() for k in ks]
    print(f"\n{'model':60} " + " ".join(f"{name:>10}" for name in names) + "   fit s  form")
    best, results = models[0], []
    best_value = -1.0
    for model in models:
        name = type(model).__name__
        with stages.measured(f"fit {name}"):
            model.fit(train)
        seconds = stages[-1].seconds
        with stages.measured(f"evaluate {name}"):
            result = evaluation.evaluate(model, fold_in, targets, k=(20, 50, 100), protocol=protocol)
        values = [float(result[name]) for name in names]
        shown = " ".join(f"{v:10.4f}" for v in values)
        print(f"{call(model):60} {shown} {seconds:7.2f}  {getattr(model, 'form_', '')}", flush=True)
        if page is not None:
            results.append(
                Measured(name, call(model), result, recommended(model, fold_in, train.shape[1], 20), seconds)
            )
        if values[-1] > best_value:
            best, best_value = model, values[-1]
        elif model is not best:
            model.__dict__.pop("_weights", None)  # large: let go of what is not needed any more
            model.__dict__.pop("_inverse", None)

    shown_people = people(best, fold_in, targets, np.arange(fold_in.shape[0]), np.arange(fold_in.shape[1]), None)
    print(f"\n{type(best).__name__} recommends (score, * = in the held-out part), because of:")
    for person in shown_people:
        print(f"  {person.title[0].lower()}{person.title[1:]}")
        for item, score, hit, why in person.rows:
            print(f"    {item + '*' * hit:12} {score:.3f}  {why}")

    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / "model.safetensors"
        best.save(path)
        again = load(path)
        users = np.flatnonzero(np.diff(targets.indptr))[:3]
        lists = [model.recommend(fold_in[users], k=5)[0] for model in (best, again)]
        size = path.stat().st_size / 1e6
    print(f"\nsaved ({size:.1f} MB), reloaded: recommendations {'the same' if np.array_equal(*lists) else 'DIFFER'}")
    if page is None:
        return
    Report(
        title="fastlae on generated interactions" if folder is None else f"fastlae on {Path(folder).resolve().name}",
        subtitle=f"{_describe(train)} to train on; {protocol} protocol, seed {seed}",
        cards=[
            (f"{train.shape[0]:,}", "users to train on"),
            (f"{train.shape[1]:,}", "items"),
            (f"{train.nnz:,}", "interactions to train on"),
            (f"{results[0].evaluation.n_users:,}", "users to test on"),
        ],
        counts=np.bincount(train.indices, minlength=train.shape[1]),
        activity=np.diff(fold_in.indptr),
        k=20,
        notes=[
            recall_note(protocol),
            "Hyperparameters were chosen on validation data, which the figures above did not see."
            if sweeps
            else "A large catalogue: hyperparameters that do well on sparse data, none were chosen.",
        ],
        models=results,
        people=shown_people,
        recommender=call(best),
        sweeps=sweeps,
        stages=stages,
    ).write(page)
    print(f"report: {page.resolve()}")


def _choose(train: Any, validation: Any, num_threads: int, stages: Stages) -> tuple[dict[str, Any], list[Any]]:
    """Hyperparameters by model, and the sweeps that they come from, if any."""
    if min(train.shape) > _SWEEP_UP_TO:
        g = deql_scale(_LARGE["dropout"], 1.0, _LARGE["b"])
        print("large catalogue: fixed hyperparameters, no sweep")
        return {
            "EASE": {"l2": 80.0, "user_power": 0.5},
            "EDLAE": {"l2": _LARGE["ridge"], "dropout": _LARGE["dropout"], "user_power": 0.5},
            "DEQL": {"l2": _LARGE["ridge"] * g, "dropout": _LARGE["dropout"], "b": _LARGE["b"], "user_power": 0.5},
        }, []
    sweeps = []
    for name in ("EASE", "EDLAE", "DEQL"):
        with stages.measured(f"choose for {name}"):
            sweeps.append(tune.sweep(train, models=[name], refit=False, num_threads=num_threads, **TRIED, **validation))
    print(f"hyperparameters chosen on validation data in {sum(stage.seconds for stage in stages[-3:]):.1f} s")
    return {found.best["model"]: found.best for found in sweeps}, sweeps


def _read(folder: str) -> tuple[sp.csr_matrix[Any], sp.csr_matrix[Any]]:
    for name in ("train.npz", "test.npz"):
        if not (Path(folder) / name).is_file():
            raise FileNotFoundError(f"--data: no {name} in {folder} (expected a folder with train.npz and test.npz)")
    split = data.load_split(folder)
    assert split.test is not None
    return split.train.matrix, split.test.matrix


def _describe(X: Any) -> str:
    return f"{X.shape[0]:,} users x {X.shape[1]:,} items, {X.nnz:,} interactions"
