"""`fastlae demo`: the main job from interactions to recommendations, in one go."""

from __future__ import annotations

import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import DEQL, EASE, EDLAE, Popularity, data, evaluation, load, tune
from ..ops.weights import deql_scale

_CUTS = {"recall": (20, 50), "ndcg": (100,)}
# Where a sweep would take long (the cube of the smaller side), values that do well on sparse catalogues.
_SWEEP_UP_TO = 5000
_LARGE = {"ridge": 60.0, "dropout": 0.8, "b": 0.05}


def demo(folder: str | None, *, seed: int, num_threads: int) -> None:
    """Split, fit, compare, recommend, save and reload; prints as it goes."""
    if folder is None:
        X = data.make_interactions(seed=seed)
        print(f"generated interactions: {_describe(X)}")
        split = data.split_strong(X, seed=seed)
        train, fold_in, targets = split.train, split.test_fold_in, split.test_targets
        validation: Any = {"validation": split.validation_targets, "fold_in": split.validation_fold_in}
        print(f"train {_describe(train)}; {fold_in.shape[0]} other users to test on, four fifths of their items known")
        protocol, sweep_train = "strong", train
    else:
        train, targets = _read(folder, "train.npz"), _read(folder, "test.npz")
        if train.shape != targets.shape:
            raise ValueError(f"{folder}: train.npz has shape {train.shape}, test.npz {targets.shape}")
        print(f"{folder}: train {_describe(train)}; test {targets.nnz:,} of the same users")
        fold_in, protocol = train, "weak"
        sweep_train, part = data.split_weak(train, seed=seed)
        validation = {"validation": part}

    if min(train.shape) <= _SWEEP_UP_TO:
        start = time.perf_counter()
        choices = {
            name: tune.sweep(
                sweep_train,
                models=[name],
                ridge=[10, 30, 100, 300, 1000],
                dropout=[0.3, 0.5, 0.7],
                b=[0.1, 0.3, 0.6],
                user_power=[0.0, 0.5],
                refit=False,
                num_threads=num_threads,
                **validation,
            ).best
            for name in ("EASE", "EDLAE", "DEQL")
        }
        print(f"hyperparameters chosen on validation data in {time.perf_counter() - start:.1f} s")
    else:
        g = deql_scale(_LARGE["dropout"], 1.0, _LARGE["b"])
        choices = {
            "EASE": {"l2": 80.0, "user_power": 0.5},
            "EDLAE": {"l2": _LARGE["ridge"], "dropout": _LARGE["dropout"], "user_power": 0.5},
            "DEQL": {"l2": _LARGE["ridge"] * g, "dropout": _LARGE["dropout"], "b": _LARGE["b"], "user_power": 0.5},
        }
        print("large catalogue: fixed hyperparameters, no sweep")
    models: list[Any] = [Popularity(num_threads=num_threads)]
    for cls in (EASE, EDLAE, DEQL):
        chosen = choices[cls.__name__]
        params = {name: chosen[name] for name in ("l2", "dropout", "a", "b", "user_power") if name in chosen}
        models.append(cls(num_threads=num_threads, **params))

    names = [f"{metric}@{k}" for metric, ks in _CUTS.items() for k in ks]
    print(f"\n{'model':60} " + " ".join(f"{name:>10}" for name in names) + "   fit s  form")
    best = models[0]
    best_value = -1.0
    for model in models:
        start = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - start
        result = evaluation.evaluate(model, fold_in, targets, k=(20, 50, 100), protocol=protocol)
        values = [float(result[name]) for name in names]
        shown = " ".join(f"{v:10.4f}" for v in values)
        print(f"{_short(model):60} {shown} {seconds:7.2f}  {getattr(model, 'form_', '')}", flush=True)
        if values[-1] > best_value:
            best, best_value = model, values[-1]
        elif model is not best:
            model.__dict__.pop("_weights", None)  # large: let go of what is not needed any more
            model.__dict__.pop("_inverse", None)

    users = np.flatnonzero(np.diff(targets.indptr))[:3]
    items, scores = best.recommend(fold_in[users], k=5)
    print(f"\n{type(best).__name__} recommends (item: score, * = in the held-out part):")
    for user, row, values_ in zip(users, items, scores, strict=True):
        held = set(targets[[int(user)]].indices)
        line = ", ".join(f"{i}{'*' if i in held else ''}: {s:.3f}" for i, s in zip(row, values_, strict=True))
        print(f"  user {user} (has {fold_in[[int(user)]].nnz} items): {line}")

    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / "model.safetensors"
        best.save(path)
        again = load(path)
        same = np.array_equal(again.recommend(fold_in[users], k=5)[0], items)
        size = path.stat().st_size / 1e6
    print(f"\nsaved ({size:.1f} MB), reloaded: recommendations {'the same' if same else 'DIFFER'}")


def _read(folder: str, name: str) -> sp.csr_matrix[Any]:
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(f"--data: no {name} in {folder} (expected a folder with train.npz and test.npz)")
    try:
        with path.open("rb") as file:
            return sp.csr_matrix(sp.load_npz(file)).astype(np.float32)
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no sparse matrix written by scipy.sparse.save_npz: {error}") from error


def _describe(X: Any) -> str:
    return f"{X.shape[0]:,} users x {X.shape[1]:,} items, {X.nnz:,} interactions"


def _short(model: Any) -> str:
    params = {k: v for k, v in model.get_params().items() if k in ("l2", "dropout", "b", "user_power")}
    return f"{type(model).__name__}({', '.join(f'{k}={v:.4g}' for k, v in params.items())})"
