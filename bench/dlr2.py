"""DLR2 on MovieLens-100K from four starts, its ablations, and the sweeps of alpha and of neighbours, beside baselines.

70/10/20 per user by time; users and items of at least 20 interactions. Every baseline is tuned on the validation part,
by NDCG@10, and every run of DLR2 keeps its best epoch by that of 300 of the users. Users who are asked for in the test
are shown with their training and validation part; nothing is fitted again. Rows are written as they are made, and a run
goes on from them.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from typing import Any

import numpy as np

import fastlae

from .harness import data_folder, earlier, save

CUTS = (1, 5, 10)
METRICS = ("hit_rate", "f1")
DEFAULT: dict[str, Any] = {"epochs": 3, "positions": 16_000, "batch_size": 64, "patience": None}
SHORT: dict[str, Any] = {"epochs": 2, "positions": 3_200, "batch_size": 32, "warmup": 20}
LONGER: dict[str, Any] = {"epochs": 10, "patience": 3}  # as many pairs as the authors train on
WATCHED = 300
STARTS = ("random", "le", "leporid", "svd")
ALPHAS = (0.3, 0.7, 1.0)  # beside 0 (LE) and 0.5 (LEPORID's default)
NEIGHBOURS = (25, 50, 100, 200, 400)  # beside all
ABLATIONS: dict[str, dict[str, Any]] = {
    "RevNet": {"variant": "revnet"},
    "no convolution": {"variant": "no_conv"},
    "no residual": {"variant": "no_residual"},
    "discriminative loss alone": {"loss": "discriminative"},
    "generative loss alone": {"loss": "generative"},
    "embeddings frozen": {"train_embeddings": False},
}
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Popularity": {},
    "ItemKNN": {"k": (10, 20, 50, 100, 200, 400), "metric": ("cosine", "jaccard"), "shrink": (0.0, 10.0, 50.0)},
    "UserKNN": {"k": (10, 20, 50, 100, 200, 400), "metric": ("cosine", "jaccard"), "shrink": (0.0, 10.0, 50.0)},
    "EDLAE": {"l2": (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), "dropout": (0.1, 0.3, 0.5, 0.7)},
}


def split() -> Any:
    """The parts of ml-100k; equal times are put in the same random order for every seed of the models."""
    columns = {
        "user": "user_id:token",
        "item": "item_id:token",
        "rating": "rating:float",
        "timestamp": "timestamp:float",
    }
    file = data_folder() / "ml-100k" / "ml-100k.inter"
    X = fastlae.Interactions.read(file, **columns, min_user_items=20, min_item_users=20)
    return X.split("by_time", seed=0)


def quality(model: Any, parts: Any) -> dict[str, dict[str, float]]:
    """Test figures of all users and of the quarter with the fewest training interactions."""
    found = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=CUTS, metrics=METRICS)
    tail = found.among(fastlae.evaluation.tail_users(parts.train))
    return {
        name: {metric: round(float(value), 4) for metric, value in one.items()}
        for name, one in (("all", found), ("tail", tail))
    }


def validation(model: Any, parts: Any) -> float:
    """What is chosen by."""
    found = fastlae.evaluation.evaluate(model, parts.validation_fold_in, parts.validation, k=10, metrics="ndcg")
    return float(found["ndcg@10"])


def watched(parts: Any) -> tuple[Any, Any]:
    """The users by whom a run chooses its epoch: to score all of them takes as long as the epoch."""
    rng = np.random.default_rng(0)
    users = np.sort(rng.choice(parts.train.user_ids, min(WATCHED, len(parts.train.user_ids)), replace=False))
    return parts.validation_fold_in.select(users), parts.validation.select(users)


def baseline(name: str, parts: Any, threads: int) -> dict[str, Any]:
    """The point of the grid that is best on the validation part."""
    grid = GRIDS[name]
    best: tuple[float, Any] = (-1.0, None)
    points = 0
    for values in itertools.product(*grid.values()):
        model = getattr(fastlae, name)(**dict(zip(grid, values, strict=True)), num_threads=threads).fit(parts.train)
        best = max(best, (validation(model, parts), model), key=lambda found: found[0])
        points += 1
    chosen = {key: getattr(best[1], key) for key in grid}
    row = {"group": "baseline", "name": name, "chosen": chosen, "points": points}
    return {**row, "validation": round(best[0], 4), "test": quality(best[1], parts)}


def run(parts: Any, threads: int, **options: Any) -> dict[str, Any]:
    """One training of DLR2, with its test figures; by G too, where both branches are trained."""
    import fastlae.nn

    start = time.process_time()
    model = fastlae.nn.DLR2(**{**DEFAULT, **options}, num_threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(parts.train, validation=watched(parts))
    seconds = time.process_time() - start
    scores = [epoch["ndcg@10"] for epoch in model.history_]
    row = {"epochs": len(scores), "validation": round(max(scores), 4), "cpu_seconds": round(seconds, 1)}
    row["test"] = quality(model, parts)
    if model.loss == "both":
        model.rank_by = "generative"
        row["generative"] = quality(model, parts)
    return row


def tasks(seeds: list[int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What is trained, most important first: (how the row is named, options of DLR2)."""
    made: list[tuple[dict[str, Any], dict[str, Any]]] = []
    first = seeds[0]
    for starts in (STARTS[:3], STARTS[3:]):  # those that the paper compares come first
        for seed, start in itertools.product(seeds, starts):
            made.append(({"group": "start", "name": start, "seed": seed}, {"init": start}))
    for seed, start in itertools.product(seeds, STARTS):
        made.append(({"group": "longer", "name": start, "seed": seed}, {"init": start, **LONGER}))
    for name, options in ABLATIONS.items():
        made.append(({"group": "ablation", "name": name, "seed": first}, options))
    for alpha in ALPHAS:
        made.append(({"group": "alpha", "name": str(alpha), "seed": first}, {"alpha": alpha}))
    for k in NEIGHBOURS:
        made.append(({"group": "neighbours", "name": str(k), "seed": first}, {"neighbors": k}))
    for conv in ("1d", "2d"):
        made.append(({"group": "short", "name": conv, "seed": first}, {**SHORT, "conv": conv}))
    for seed in seeds[1:]:
        for alpha in ALPHAS:
            made.append(({"group": "alpha", "name": str(alpha), "seed": seed}, {"alpha": alpha}))
        for k in NEIGHBOURS:
            made.append(({"group": "neighbours", "name": str(k), "seed": seed}, {"neighbors": k}))
        for name, options in ABLATIONS.items():
            made.append(({"group": "ablation", "name": name, "seed": seed}, options))
    return made


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing after so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--groups", nargs="*", help="of these groups alone: baseline, start, ablation, ...")
    return parser


def main() -> None:
    """The study, written as it goes."""
    options = arguments().parse_args()
    end = time.monotonic() + 60 * options.minutes
    parts = split()
    results = earlier("dlr2") or {"shape": [*parts.train.shape], "settings": {}}
    results["settings"] = {"default": DEFAULT, "short": SHORT, "longer": {**DEFAULT, **LONGER}}
    rows = results.setdefault("rows", [])
    done = {(row["group"], row["name"], row.get("seed")) for row in rows}
    for name in GRIDS:
        if ("baseline", name, None) not in done and (options.groups is None or "baseline" in options.groups):
            rows.append(baseline(name, parts, options.threads))
            save("dlr2", results)
    for named, given in tasks(options.seeds):
        key = named["group"], named["name"], named["seed"]
        if key in done or time.monotonic() > end or named["group"] not in (options.groups or [named["group"]]):
            continue
        rows.append({**named, **run(parts, options.threads, seed=named["seed"], **given)})
        save("dlr2", results)
