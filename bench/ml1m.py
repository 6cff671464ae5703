"""MovieLens-1M: every full-rank model, swept on a validation part cut from train, then measured once on test."""

from __future__ import annotations

import time
from typing import Any

import scipy.sparse as sp

import fastlae

from .harness import data_folder, save

RIDGE = [100.0, 200.0, 400.0, 600.0, 1000.0, 1500.0]
DROPOUT = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
COMMON: dict[str, Any] = {
    "ridge": RIDGE,
    "dropout": DROPOUT,
    "b": [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0],
    "xi": [0.0, 0.1, 0.2, 0.4, 0.6],
}
# Seeds of the validation cut: the choice of hyperparameters depends on it a little, so the spread is told.
SEEDS = (0, 1, 2)


def main() -> None:
    """A row per model and set of options: the chosen point, and its figures on test, for every seed."""
    folder = data_folder() / "ml-1m"
    train, test = sp.load_npz(folder / "train.npz"), sp.load_npz(folder / "test.npz")
    rows = []
    variants: dict[str, dict[str, list[float]]] = {
        "plain": {},
        "user weights": {"user_power": [0.0, 0.25, 0.5, 0.75, 1.0]},
        "user weights and popularity scaling": {
            "user_power": [0.25, 0.5, 0.75, 1.0],
            "popularity_power": [-0.3, -0.2, -0.1, 0.0, 0.1],
        },
    }
    for seed in SEEDS:
        part, validation = fastlae.data.split_weak(train, 0.1, seed=seed)
        for variant, options in variants.items():
            for name in ("EASE", "DLAE", "EDLAE", "RDLAE", "DEQL"):
                start = time.perf_counter()
                found = fastlae.sweep(part, validation, models=[name], refit=False, **COMMON, **options)
                seconds = time.perf_counter() - start
                params = {k: v for k, v in found.best.items() if k not in ("model", "ridge", found.metric)}
                model = getattr(fastlae, name)(**params).fit(train)
                result = fastlae.evaluation.evaluate(model, train, test)
                rows.append(
                    {
                        "model": name,
                        "options": variant,
                        "seed": seed,
                        "chosen": {k: v for k, v in found.best.items() if k != "model"},
                        "test": {k: round(float(v), 4) for k, v in result.items()},
                        "sweep_seconds": round(seconds, 1),
                        "points": len(found.table),
                        "inverses": found.inverses,
                    }
                )
                print(rows[-1], flush=True)
    save("ml1m", rows)
