"""The evaluators of other packages on lists or scores that bench/evaluate.py wrote; needs no fastlae.

python bench/evaluate_peers.py irspack|lenskit|irspack_split FOLDER
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

CUTOFFS = (20, 50)


def timed(call: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """The result, and the median of some runs in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return result, round(float(np.median(times)), 4)


def irspack(folder: Path) -> dict[str, Any]:
    """From scores of the first users: it has no entrance for lists."""
    from irspack.evaluation import Evaluator

    scores = np.load(folder / "scores.npy")
    train, test = (sp.load_npz(folder / f"{part}.npz")[: len(scores)] for part in ("train", "test"))
    evaluator = Evaluator(test, masked_interactions=train)
    got, seconds = timed(lambda: evaluator.get_scores_from_score_matrix(scores, list(CUTOFFS)), 3)
    names = {"recall": "recall", "ndcg": "ndcg", "precision": "precision", "hit": "hit_rate"}
    means = {f"{ours}@{k}": got[f"{theirs}@{k}"] for theirs, ours in names.items() for k in CUTOFFS}
    return {"seconds": seconds, "users": len(scores), "means": means}


def irspack_split(folder: Path) -> dict[str, Any]:
    """A fifth of every row."""
    from irspack.split import rowwise_train_test_split

    train = sp.load_npz(folder / "train.npz")
    _, seconds = timed(lambda: rowwise_train_test_split(train, test_ratio=0.2, random_state=0), 5)
    return {"seconds": seconds}


def lenskit(folder: Path) -> dict[str, Any]:
    """From lists, once they are in its collections (which is not timed)."""
    from lenskit.data import ItemList, ItemListCollection
    from lenskit.metrics import NDCG, Hit, LogRankWeight, Precision, Recall, RecipRank, RunAnalysis

    top, test = np.load(folder / "top.npy"), sp.load_npz(folder / "test.npz")
    lists, targets = (ItemListCollection.empty(["user_id"]) for _ in range(2))
    for u in np.flatnonzero(np.diff(test.indptr)):
        lists.add(ItemList(item_ids=top[u][top[u] >= 0], ordered=True), user_id=int(u))
        targets.add(ItemList(item_ids=test.indices[test.indptr[u] : test.indptr[u + 1]]), user_id=int(u))
    names = {"recall": Recall, "precision": Precision, "hit_rate": Hit, "mrr": RecipRank}
    run = RunAnalysis()
    for k in CUTOFFS:
        run.add_metric(NDCG(k, weight=LogRankWeight(offset=1)), label=f"ndcg@{k}")  # log2(r + 1), as everybody has it
        for name, metric in names.items():
            run.add_metric(metric(k), label=f"{name}@{k}")
    result, seconds = timed(lambda: run.measure(lists, targets), 1)
    means = {name: float(value) for name, value in result.list_summary()["mean"].items()}
    return {"seconds": seconds, "users": len(lists), "means": means}


if __name__ == "__main__":
    calls = {"irspack": irspack, "irspack_split": irspack_split, "lenskit": lenskit}
    print(json.dumps(calls[sys.argv[1]](Path(sys.argv[2]))))
