"""Recommending to everybody and to one user, beside X @ W with argpartition and masking in NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastlae

from .harness import alternate, median, save


def numpy_recommend(X: Any, W: Any, k: int, block: int = 1024) -> Any:
    """What people write by hand, block by block."""
    lists = []
    for begin in range(0, X.shape[0], block):
        x = X[begin : begin + block]
        scores = x @ W
        scores[x.nonzero()] = -np.inf
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        lists.append(np.take_along_axis(best, order, 1))
    return np.concatenate(lists)


def main() -> None:
    """20,108 items, 100 recommendations; random weights, since only their number matters."""
    n, k = 20_108, 100
    X = fastlae.data.make_interactions(n_users=4096, n_items=n, n_interactions=300_000, seed=0)
    W = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
    one = X[np.argmin(np.abs(np.diff(X.indptr) - 100))]
    results = {}
    for name, x, repeat in (("all", X, 3), ("one", one, 50)):
        ours, _ = fastlae.ops.recommend(x, W, k=k)
        same = float((ours == numpy_recommend(x, W, k)).mean())
        assert same > 0.999, same  # sums in another order may swap neighbours
        times = alternate(
            {
                "fastlae": lambda x=x: fastlae.ops.recommend(x, W, k=k),
                "numpy": lambda x=x: numpy_recommend(x, W, k),
            },
            repeat=repeat,
            pause=0.05,
        )
        results[name] = {
            "users": x.shape[0],
            "interactions": int(x.nnz),
            "seconds": {c: round(float(np.median(t)), 6) for c, t in times.items()},
            "numpy_over_fastlae": round(median(times["numpy"]) / max(1e-9, float(np.median(times["fastlae"]))), 1),
        }
    save("recommend", {"items": n, "k": k, **results})
