"""Matrix factorisation with and without ImplicitSLIM, equally tuned, by dimension; and its convergence, beside EASE.

Strong generalization on MovieLens-1M (train and test part put together) and ml-latest-small (ratings of 4 and more),
users of 5 items and more. For every data set, dimension and method the same number of trials of one search (a
tree-structured Parzen estimator over log-uniform ranges, by NDCG@100 of the validation users of the first seed); larger
dimensions begin with the best point of the smaller one. The chosen point is then trained and measured on the test users
of every seed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .harness import data_folder, earlier, save

DIMS = (32, 64, 128, 256, 512)
SEEDS = (0, 1, 2)
STEPS = 20
METHODS: dict[str, dict[str, Any]] = {"MF": {}, "MF + ImplicitSLIM": {"implicit_slim": "init+reg"}}
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "MF": {"l2_user": (0.1, 1000.0), "l2_item": (1e-3, 1000.0)},
    "MF + ImplicitSLIM": {
        "l2_user": (0.1, 1000.0),
        "l2_item": (1e-3, 1000.0),
        "slim_l2": (5.0, 2000.0),
        "slim_alpha": (0.01, 10.0),
        "slim_min_count": (1.0, 100.0),
        "slim_weight": (0.1, 1000.0),
    },
}
EASE_L2 = (30.0, 50.0, 80.0, 120.0, 200.0, 300.0, 500.0, 800.0)


def interactions(name: str) -> sp.csr_matrix:
    """Users x items, ones; users of fewer than 5 items are left out."""
    folder = data_folder() / name
    if name == "ml-1m":
        parts = [sp.csr_matrix(sp.load_npz(folder / f"{part}.npz"), dtype=np.float32) for part in ("train", "test")]
        X = sp.csr_matrix(parts[0] + parts[1])
    else:
        X = fastlae.Interactions.read(folder / "ratings.csv", min_rating=4).matrix
    X = sp.csr_matrix(X, dtype=np.float32)
    X.data[:] = 1
    return X[X.getnnz(axis=1) >= 5]


def quality(model: Any, fold_in: Any, targets: Any) -> dict[str, float]:
    """The paper's three figures."""
    found = fastlae.evaluation.evaluate(model, fold_in, targets, k=(20, 50, 100), protocol="strong")
    return {name: round(float(found[name]), 4) for name in ("ndcg@100", "recall@20", "recall@50")}


def tuned(method: str, dim: int, split: Any, trials: int, first: dict[str, float] | None) -> dict[str, Any]:
    """The best point of the search, its validation score, and the score after every trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    validation = (split.validation_fold_in, split.validation_targets)

    def objective(trial: Any) -> float:
        point = {name: trial.suggest_float(name, *bounds, log=True) for name, bounds in RANGES[method].items()}
        try:
            model = fastlae.MF(dim=dim, steps=STEPS, **METHODS[method], **point).fit(split.train, validation=validation)
        except ValueError:  # no item has so many users
            return 0.0
        trial.set_user_attr("steps", model.steps_)
        return quality(model, *validation)["ndcg@100"]

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    if first is not None:
        study.enqueue_trial(first)
    study.optimize(objective, n_trials=trials)
    best = study.best_trial
    return {
        "chosen": {name: float(f"{value:.4g}") for name, value in best.params.items()},
        "steps": best.user_attrs["steps"],
        "validation": best.value,
        "trials": [round(t.value or 0.0, 4) for t in study.trials],
    }


def measured(method: str, dim: int, found: dict[str, Any], splits: list[Any]) -> list[dict[str, float]]:
    """Test figures of the chosen point for every seed; training ends by the seed's validation users."""
    rows = []
    for split in splits:
        start = time.perf_counter()
        model = fastlae.MF(dim=dim, steps=STEPS, **METHODS[method], **found["chosen"])
        model.fit(split.train, validation=(split.validation_fold_in, split.validation_targets))
        seconds = time.perf_counter() - start
        row = quality(model, split.test_fold_in, split.test_targets)
        rows.append({**row, "steps": model.steps_, "seconds": round(seconds, 2)})
    return rows


def ease(splits: list[Any]) -> dict[str, Any]:
    """EASE with l2 chosen by the first seed's validation users."""
    first = splits[0]

    def score(l2: float) -> float:
        model = fastlae.EASE(l2=l2).fit(first.train)
        return quality(model, first.validation_fold_in, first.validation_targets)["ndcg@100"]

    l2 = max(EASE_L2, key=score)
    rows = []
    for split in splits:
        start = time.perf_counter()
        model = fastlae.EASE(l2=l2).fit(split.train)
        seconds = round(time.perf_counter() - start, 3)
        rows.append({**quality(model, split.test_fold_in, split.test_targets), "seconds": seconds})
    return {"l2": l2, "test": rows}


def convergence(method: str, dim: int, chosen: dict[str, float], split: Any) -> list[dict[str, float]]:
    """Test NDCG@100 after every step, and the seconds of training until then: measuring is not counted."""
    rows: list[dict[str, float]] = []
    spent, begin = 0.0, time.perf_counter()

    def after(model: Any) -> bool:
        nonlocal spent, begin
        spent += time.perf_counter() - begin
        value = quality(model, split.test_fold_in, split.test_targets)["ndcg@100"]
        rows.append({"step": model.steps_, "seconds": round(spent, 4), "ndcg@100": value})
        begin = time.perf_counter()
        return False

    fastlae.MF(dim=dim, steps=STEPS, **METHODS[method], **chosen).fit(split.train, callback=after)
    return rows


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=["ml-latest-small", "ml-1m"])
    parser.add_argument("--dims", nargs="*", type=int, default=list(DIMS))
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no search after so many")
    parser.add_argument(
        "--convergence", type=int, metavar="DIM", help="of a finished study alone: needs a quiet machine"
    )
    return parser


def main() -> None:
    """The study, written as it goes; or the convergence of its chosen points."""
    options = arguments().parse_args()
    old = earlier("embeddings") or {}
    results: dict[str, Any] = {"data": old.get("data", {}), "convergence": old.get("convergence", {})}
    end = time.monotonic() + 60 * options.minutes
    for dim in options.dims if options.convergence is None else []:
        for name in options.data:
            X = interactions(name)
            splits = [fastlae.data.split_strong(X, seed=seed) for seed in SEEDS]
            entry = results["data"].setdefault(name, {"shape": [*X.shape, int(X.nnz)], "rows": []})
            if "ease" not in entry:
                entry["ease"] = ease(splits)
            for method in METHODS:
                if time.monotonic() > end or any(r["method"] == method and r["dim"] == dim for r in entry["rows"]):
                    continue
                smaller = [r for r in entry["rows"] if r["method"] == method and r["dim"] < dim]
                first = max(smaller, key=lambda r: r["dim"])["chosen"] if smaller else None
                found = tuned(method, dim, splits[0], options.trials, first)
                row = {"method": method, "dim": dim, **found, "test": measured(method, dim, found, splits)}
                entry["rows"].append(row)
                print(name, {k: v for k, v in row.items() if k != "trials"}, flush=True)
                save("embeddings", results)
    if options.convergence is not None:
        for name in options.data:
            split = fastlae.data.split_strong(interactions(name), seed=SEEDS[0])
            entry = results["data"][name]
            curves = {}
            for row in entry["rows"]:
                if row["dim"] == options.convergence:
                    curves[row["method"]] = convergence(row["method"], row["dim"], row["chosen"], split)
            start = time.perf_counter()
            model = fastlae.EASE(l2=entry["ease"]["l2"]).fit(split.train)
            seconds = round(time.perf_counter() - start, 4)
            value = quality(model, split.test_fold_in, split.test_targets)["ndcg@100"]
            curves["EASE"] = [{"step": 1, "seconds": seconds, "ndcg@100": value}]
            results["convergence"][name] = {"dim": options.convergence, "curves": curves}
        save("embeddings", results)
