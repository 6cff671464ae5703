"""The best items by user and item vectors, beside NumPy's product and selection by blocks of users."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlae import ops

from .harness import alternate, median, save

SHAPES = [(6022, 3043, 200), (4096, 40_981, 64), (4096, 40_981, 500), (1, 40_981, 500)]
K = 20


def numpy_best(P: Any, E: Any) -> Any:
    """Positions of the K best, by blocks of 1,024 users."""
    found = []
    for begin in range(0, len(P), 1024):
        scores = P[begin : begin + 1024] @ E.T
        part = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1)
        found.append(np.take_along_axis(part, order, 1))
    return np.concatenate(found)


def main() -> None:
    """Same items, then seconds."""
    rows = []
    for users, items, dim in SHAPES:
        rng = np.random.default_rng(0)
        P, E = (rng.normal(size=(n, dim)).astype(np.float32) for n in (users, items))
        ours = ops.recommend_factors(P, E, k=K)[0]
        agree = float((ours == numpy_best(P, E)).mean())
        if agree < 0.999:
            raise SystemExit(f"the items differ: only {agree:.2%} agree")
        contenders = {
            "fastlae": lambda P=P, E=E: ops.recommend_factors(P, E, k=K),
            "numpy": lambda P=P, E=E: numpy_best(P, E),
        }
        times = alternate(contenders, repeat=3)
        row = {"users": users, "items": items, "dim": dim, "agree": agree}
        rows.append(row | {name: median(seconds) for name, seconds in times.items()})
        rows[-1]["gflops"] = round(2 * users * items * dim / rows[-1]["fastlae"] / 1e9, 1)
    save("factors", {"k": K, "rows": rows})
