"""The ablation of RecVAE (the paper's Table 2) and its kin, beside linear autoencoders, in strong generalization.

Ratings of 4 and more of ml-latest-small (or all of ml-1m, train and test part put together), users of 5 items and more;
80 % of a held-out user's items fold in. Every model has six points of its own hyperparameters, tried on the
validation users of the first seed; the best is trained for every seed, its split and first weights being the seed's,
until the validation score has not risen for some passes over the users, and measured on the test users. What the
ablation leaves out does not change the other hyperparameters. Networks are narrower than published ones, as the data
are smaller.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import fastlae
import fastlae.nn

from .embeddings import interactions, quality
from .harness import earlier, save

SEEDS = (0, 1, 2)
OFF = dict.fromkeys(("composite_prior", "user_beta", "alternating", "clean_decoder"), False)
# Models by name: class, what is fixed, and the points that are tried.
RECVAE: dict[str, Any] = {"epochs": 50, "patience": 6, "grace": 3, "learning_rate": 1e-3}
ONE_PASS: dict[str, Any] = {"epochs": 200, "patience": 24, "grace": 12, "learning_rate": 1e-3}  # a quarter of the steps
POINTS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "RecVAE": ("RecVAE", RECVAE, [{"gamma": g, "dropout": p} for g in (0.005, 0.01, 0.02) for p in (0.5, 0.7)]),
    "Mult-VAE": (
        "MultVAE",
        {**ONE_PASS, "anneal_epochs": 50},
        [{"beta": b, "dropout": p} for b in (0.1, 0.2, 0.5) for p in (0.5, 0.7)],
    ),
    "Mult-DAE": (
        "MultDAE",
        ONE_PASS,
        [{"weight_decay": d, "dropout": p} for d in (0.0, 0.01, 0.1) for p in (0.5, 0.7)],
    ),
    "RecVAE + ImplicitSLIM": (
        "RecVAE",
        {**RECVAE, "slim_every": 10},
        [{"slim_l2": l2, "slim_min_count": m} for l2 in (50.0, 100.0, 200.0) for m in (5, 20)],
    ),
    "EDLAE": ("EDLAE", {}, [{"l2": v, "dropout": p} for v in (100.0, 200.0, 400.0) for p in (0.2, 0.5)]),
    "DEQL": ("DEQL", {}, [{"l2": v, "dropout": 0.5, "b": b} for v in (100.0, 200.0) for b in (0.25, 1.0, 1.5)]),
}
# Rows of Table 2: what differs from RecVAE. The published figures are in bench/neural_tables.py.
ABLATION: dict[str, dict[str, Any]] = {
    "architecture": {**OFF},
    "architecture, prior": {**OFF, "composite_prior": True},
    "architecture, user's beta": {**OFF, "user_beta": True},
    "architecture, alternating, clean decoder": {"composite_prior": False, "user_beta": False},
    "architecture, prior, user's beta": {"alternating": False, "clean_decoder": False},
    "all but the architecture": {"dense_encoder": False},
    "all but the prior": {"composite_prior": False},
    "all but the user's beta": {"user_beta": False},
    "all but the clean decoder": {"clean_decoder": False},
}


class Study:
    """One data set: models are made with its sizes, trained and measured."""

    def __init__(self, name: str, sizes: dict[str, dict[str, Any]], batch: int, threads: int) -> None:
        X = interactions(name)
        self.shape = [*X.shape, int(X.nnz)]
        self.splits = [fastlae.data.split_strong(X, seed=seed) for seed in SEEDS]
        self.sizes, self.batch, self.threads = sizes, batch, threads

    def trained(self, kind: str, options: dict[str, Any], seed: int) -> Any:
        """A model fitted to the split of a seed."""
        split = self.splits[seed]
        if hasattr(fastlae, kind):
            return getattr(fastlae, kind)(num_threads=self.threads, **options).fit(split.train)
        sizes = {**self.sizes[kind], "batch_size": self.batch, "num_threads": self.threads, "seed": seed}
        model = getattr(fastlae.nn, kind)(**sizes, **options)
        return model.fit(split.train, validation=(split.validation_fold_in, split.validation_targets))

    def tried(self, name: str) -> dict[str, Any]:
        """Validation score of every point with the first seed."""
        kind, fixed, points = POINTS[name]
        split, scores = self.splits[0], []
        for point in points:
            model = self.trained(kind, {**fixed, **point}, 0)
            scores.append(quality(model, split.validation_fold_in, split.validation_targets)["ndcg@100"])
        best = max(range(len(points)), key=scores.__getitem__)
        return {"points": points, "validation": scores, "chosen": points[best]}

    def measured(self, kind: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
        """Test figures of one seed; of a network the course of its validation score too."""
        model = self.trained(kind, options, seed)
        split = self.splits[seed]
        row: dict[str, Any] = {"seed": seed}
        row |= quality(model, split.test_fold_in, split.test_targets)
        if hasattr(model, "history_"):
            row["curve"] = [round(h["ndcg@100"], 4) for h in model.history_]
        return row


def rows_of(entry: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What is to be measured: name, class, options."""
    rows = []
    for name, (kind, fixed, _) in POINTS.items():
        if name in entry["tuned"]:
            rows.append((name, kind, {**fixed, **entry["tuned"][name]["chosen"]}))
    chosen = entry["tuned"].get("RecVAE", {}).get("chosen")
    if chosen is not None:
        for name, changed in ABLATION.items():
            length = RECVAE if changed.get("alternating", True) else ONE_PASS
            rows.append((name, "RecVAE", {**length, **chosen, **changed}))
    return rows


SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "ml-latest-small": {
        "RecVAE": {"hidden": 300, "latent": 100},
        "MultVAE": {"hidden": 300, "latent": 100},
        "MultDAE": {"hidden": 100},
    },
    "ml-1m": {
        "RecVAE": {"hidden": 600, "latent": 200},
        "MultVAE": {"hidden": 600, "latent": 200},
        "MultDAE": {"hidden": 200},
    },
}
BATCH = {"ml-latest-small": 100, "ml-1m": 500}


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ml-latest-small", choices=list(SIZES))
    parser.add_argument("--only", nargs="*", help="names of rows; those they are tuned by must be there")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing after so many")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    """Tune, then all rows seed by seed, written as they come; what an earlier run has is not repeated."""
    options = arguments().parse_args()
    end = time.monotonic() + 60 * options.minutes
    results = earlier("neural") or {"data": {}}
    study = Study(options.data, SIZES[options.data], BATCH[options.data], options.threads)
    entry = results["data"].setdefault(options.data, {"shape": study.shape, "tuned": {}, "rows": {}})
    entry |= {"sizes": study.sizes, "batch": study.batch}
    for name in POINTS:
        if name not in entry["tuned"] and time.monotonic() < end and (not options.only or name in options.only):
            if name == "RecVAE + ImplicitSLIM" and "RecVAE" in entry["tuned"]:
                POINTS[name][1].update(entry["tuned"]["RecVAE"]["chosen"])
            entry["tuned"][name] = study.tried(name)
            print(name, entry["tuned"][name], flush=True)
            save("neural", results)
    if "RecVAE" in entry["tuned"]:
        POINTS["RecVAE + ImplicitSLIM"][1].update(entry["tuned"]["RecVAE"]["chosen"])
    for seed in SEEDS:
        for name, kind, chosen in rows_of(entry):
            found = entry["rows"].setdefault(name, [])
            if any(row["seed"] == seed for row in found) or (options.only and name not in options.only):
                continue
            if time.monotonic() > end:
                continue
            found.append(study.measured(kind, chosen, seed))
            shown = {k: v for k, v in found[-1].items() if k != "curve"}
            print(name, shown, len(found[-1].get("curve", ())), flush=True)
            save("neural", results)
