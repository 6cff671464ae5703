"""A sweep of 8 x 6 x 10 points on MovieLens-1M beside the inverses that it needs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .harness import data_folder, median, save

GRID: dict[str, Any] = {
    "ridge": [10, 20, 50, 100, 200, 400, 800, 1600],
    "dropout": [0.1, 0.2, 0.3, 0.5, 0.7, 0.8],
    "b": [round(0.1 * i, 1) for i in range(1, 11)],
}
REPEAT = 3


def main() -> None:
    """Check one point, then time the sweep and its inverses in turns."""
    import fastlae

    X = fastlae.data.load_split(data_folder() / "ml-1m").train.matrix
    train, validation = fastlae.data.split_weak(X, 0.1, seed=0)
    gram = fastlae.ops.gram(train)
    matrices = [p / (1 - p) * gram.diagonal() + ridge for ridge in GRID["ridge"] for p in GRID["dropout"]]

    def sweep() -> Any:
        return fastlae.sweep(train, validation, models=["DEQL"], refit=False, **GRID)

    def inverses() -> None:
        for diagonal in matrices:
            matrix = gram.copy()
            matrix[np.diag_indices(len(matrix))] += diagonal
            fastlae.ops.spd_inverse(matrix, overwrite_a=True)

    found = sweep()
    best = {name: found.best[name] for name in ("l2", "dropout", "b")}
    result = fastlae.evaluation.evaluate(fastlae.DEQL(**best).fit(train), train, validation, k=20, metrics="ndcg")
    assert abs(float(result["ndcg@20"]) - found.best["ndcg@20"]) < 1e-3
    seconds: dict[str, list[float]] = {"sweep": [], "inverses": []}
    for _ in range(REPEAT):
        for name, call in (("sweep", sweep), ("inverses", inverses)):
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: median(times) for name, times in seconds.items()}
    save(
        "sweep",
        {
            "points": len(found.table),
            "inverses": found.inverses,
            "seconds": medians,
            "ratio": round(medians["sweep"] / medians["inverses"], 2),
        },
    )
