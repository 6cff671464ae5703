"""Jaccard graphs of the shape of the Anime data, beside a Python double loop and scikit-learn's brute-force search."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .harness import in_child, median, reset_peak, save

SHAPE = (47_143, 6_535, 6_143_751)  # users, items, interactions
K = 1000
PAIRS = 40_000  # of the double loop, which would take hours for all
QUERIES = 24  # of scikit-learn
REPEAT = 3


def interactions() -> Any:
    """Made-up interactions of the shape."""
    return fastlae.data.make_interactions(*SHAPE, seed=0)


def by_side(X: Any, side: str) -> Any:
    """A matrix whose columns are what is compared."""
    return sp.csr_matrix(X.T) if side == "users" else X


def graph(side: str) -> dict[str, Any]:
    """Seconds and memory of the graph of all items or users, and of each metric's lists."""
    X = by_side(interactions(), side)
    reset_peak()
    times = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        W = fastlae.ops.knn_graph(X, k=K)
        times.append(time.perf_counter() - start)
    result = {"seconds": median(times), "times": times, "edges": int(W.nnz)}
    for metric in ("cosine", "conditional"):
        start = time.perf_counter()
        fastlae.ops.nearest_neighbours(X, k=K, metric=metric)
        result[f"{metric}_lists_seconds"] = round(time.perf_counter() - start, 4)
    return result


def double_loop(side: str) -> dict[str, Any]:
    """Seconds for a pair of sets in a loop over pairs, checked against the graph's numbers."""
    X = by_side(interactions(), side)
    C = sp.csc_matrix(X)
    count = int(np.sqrt(2 * PAIRS))
    some = np.random.default_rng(0).choice(X.shape[1], count, replace=False)
    sets = [set(C.indices[C.indptr[i] : C.indptr[i + 1]].tolist()) for i in some]
    S = np.zeros((count, count))
    start = time.perf_counter()
    for i in range(count):
        for j in range(i + 1, count):
            union = len(sets[i] | sets[j])
            S[i, j] = S[j, i] = len(sets[i] & sets[j]) / union if union else 0.0
    seconds = time.perf_counter() - start
    W = fastlae.ops.knn_graph(C[:, some], k=count - 1).toarray()
    n = X.shape[1]
    per_pair = seconds / (count * (count - 1) / 2)
    return {"pair_seconds": per_pair, "seconds": per_pair * n * (n - 1) / 2, "difference": float(abs(W - S).max())}


def scikit_learn(side: str) -> dict[str, Any]:
    """Seconds a query of the brute-force search over all, two jobs, and whether it finds the same similarities."""
    from sklearn.neighbors import NearestNeighbors

    X = by_side(interactions(), side)
    n = X.shape[1]
    dense = np.ascontiguousarray(X.T.astype(bool).toarray())
    search = NearestNeighbors(n_neighbors=K + 1, metric="jaccard", algorithm="brute", n_jobs=2).fit(dense)
    some = np.random.default_rng(1).choice(n, QUERIES, replace=False)
    start = time.perf_counter()
    distances, _ = search.kneighbors(dense[some])
    seconds = (time.perf_counter() - start) / QUERIES
    _, ours = fastlae.ops.nearest_neighbours(X, k=K)
    theirs = 1 - distances[:, 1:]  # itself first
    return {
        "query_seconds": seconds,
        "seconds": seconds * n,
        "difference": float(abs(np.where(np.isfinite(ours[some]), ours[some], 0) - theirs).max()),
    }


def main() -> None:
    """Measure both sides, each contender in a process of its own."""
    results: dict[str, Any] = {"shape": SHAPE, "k": K, "pairs": PAIRS, "queries": QUERIES}
    for side in ("items", "users"):
        found = {name: in_child("bench.knn_graph", name, side) for name in ("graph", "double_loop", "scikit_learn")}
        for name in ("double_loop", "scikit_learn"):
            if found[name]["difference"] > 1e-6:
                raise SystemExit(f"{side}: {name} differs by {found[name]['difference']:.1e}")
            found[name]["times_as_long"] = found[name]["seconds"] / found["graph"]["seconds"]
        results[side] = found
        print(side, found)
    save("knn_graph", results)
