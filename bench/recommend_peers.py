"""Other packages' ways from interactions and weights to lists, each in a process of its own; see recommend.py.

Run by an interpreter that has the package: only NumPy and SciPy are imported beside it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp


def weights(kind: str, n: int) -> Any:
    """Random weights, the same in every process: dense, or sparse with a hundred entries a row."""
    rng = np.random.default_rng(0)
    if kind == "dense":
        return rng.standard_normal((n, n), dtype=np.float32)
    W = sp.csr_matrix(
        (rng.random(100 * n, dtype=np.float32) + 0.01, rng.integers(0, n, 100 * n), np.arange(0, 100 * n + 1, 100)),
        shape=(n, n),
    )
    W.sum_duplicates()
    return W


def implicit(kind: str, W: Any, k: int) -> Callable[[Any], Any]:
    """Dense: its kernel for factors, the items' being the columns of W. Sparse: its item-item recommender."""
    if kind == "dense":
        from implicit.cpu.topk import topk

        columns = np.ascontiguousarray(W.T)
        return lambda x: topk(columns, x.toarray(), k, filter_query_items=x)[0]
    from implicit._nearest_neighbours import NearestNeighboursScorer
    from implicit.nearest_neighbours import ItemItemRecommender

    model = ItemItemRecommender(K=k)
    model.similarity = W.astype(np.float64)
    model.scorer = NearestNeighboursScorer(model.similarity)

    def lists(x: Any) -> Any:  # its way for one user is shorter than that for an array of them
        return model.recommend(0 if x.shape[0] == 1 else np.arange(x.shape[0]), x, N=k)[0]

    return lists


def fastlae(kind: str, W: Any, k: int) -> Callable[[Any], Any]:
    """For its memory, measured like that of the others."""
    from fastlae.ops import recommend

    return lambda x: recommend(x, W, k=k)[0]


def peak_gb() -> float:
    """Of this program: ru_maxrss would count that of the process which started it."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def irspack(kind: str, W: Any, k: int) -> Callable[[Any], Any]:
    """Scores, mask and selection as its recommenders and its id mapper do them."""
    from irspack.utils.id_mapping import retrieve_recommend_from_score

    def lists(x: Any) -> Any:
        found = []
        for begin in range(0, x.shape[0], 1024):
            block = x[begin : begin + 1024]
            scores = block @ W
            scores = scores.toarray() if sp.issparse(scores) else scores
            scores[block.nonzero()] = -np.inf
            found += retrieve_recommend_from_score(scores, [], k, n_threads=2)
        return np.array([[item for item, _ in row] for row in found])

    return lists


def lenskit(kind: str, W: Any, k: int) -> Callable[[Any], Any]:
    """Its scorers for dense (EASE) and sparse (SLIM) weights, then its ranker, user by user as it works."""
    from lenskit.basic import TopNRanker
    from lenskit.data import ItemList, RecQuery, Vocabulary
    from lenskit.knn import EASEScorer, SLIMScorer

    items = Vocabulary(np.arange(W.shape[0]), "item")
    scorer = EASEScorer() if kind == "dense" else SLIMScorer()
    scorer.items, scorer.weights = items, W if kind == "dense" else sp.csr_array(W)
    ranker = TopNRanker(n=k)

    def lists(x: Any) -> Any:
        found = []
        for u in range(x.shape[0]):
            seen = x.indices[x.indptr[u] : x.indptr[u + 1]]
            others = np.setdiff1d(np.arange(x.shape[1]), seen)
            query = RecQuery(user_id=0, user_items=ItemList(item_nums=seen, vocabulary=items))
            scored = scorer(query, ItemList(item_nums=others, vocabulary=items))
            found.append(ranker(items=scored).numbers(vocabulary=items))
        return np.array(found)

    return lists


def main() -> None:
    """Arguments: package, dense or sparse, k, and the folder with the users and for the lists."""
    package, kind, k, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    single, many = sp.load_npz(folder / "single.npz"), sp.load_npz(folder / "many.npz")
    if package == "implicit" and kind == "sparse":  # what its kernel takes, converted outside of the timing
        single, many = single.astype(np.float64), many.astype(np.float64)
    call = globals()[package](kind, weights(kind, many.shape[1]), k)
    np.save(folder / f"{package}.npy", call(many[:32]))
    seconds = []
    for u in range(1 if package == "implicit" and kind == "dense" else 0, min(24, single.shape[0])):
        x = single[u]
        start = time.perf_counter()
        call(x)
        seconds.append(time.perf_counter() - start)
        if sum(seconds) > 2:
            break
    # As many users as a few seconds allow; what is reported is users a second.
    users = int(min(many.shape[0], max(64, 1.5 / np.median(seconds))))
    users = users if package != "implicit" or kind != "dense" else 512
    start = time.perf_counter()
    call(many[:users])
    result = {"one_ms": np.median(seconds) * 1e3, "users_per_s": users / (time.perf_counter() - start)}
    print("RESULT " + json.dumps({**result, "users_timed": users, "peak_gb": round(peak_gb(), 2)}))


if __name__ == "__main__":
    main()
