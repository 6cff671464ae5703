"""What evaluating costs beside scoring, and what splitting costs: on Gowalla and on the shape of MovieLens-20M.

The peers (irspack, LensKit) run in processes of the Python that FASTLAE_PEERS names, where both are installed:

    python -m venv peers && peers/bin/pip install irspack "lenskit==2025.8.*"
    FASTLAE_PEERS=peers/bin/python python -m bench evaluate
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae
from fastlae.evaluation.evaluate import METRICS

from .harness import alternate, data_folder, median, save

CUTOFFS = (20, 50)
ML20M = {"n_users": 138_493, "n_items": 26_744, "n_interactions": 20_000_000}
# Users whose scores of all items are handed to irspack, which takes scores and no lists.
SCORED = 2048
PEERS = Path(__file__).with_name("evaluate_peers.py")


class Given:
    """A model that has its answers ready: what `evaluate` costs without it."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def recommend(self, X: Any, k: int, *, exclude_seen: bool = True) -> tuple[Any, Any]:
        """The first lists, `evaluate` having left out users without targets."""
        return self.items[:, :k], None


def numpy_metrics(top: Any, test: Any) -> dict[str, float]:
    """What people write by hand: a loop over users, np.isin for each; means by name."""
    rows: dict[str, list[float]] = {f"{name}@{k}": [] for k in CUTOFFS for name in METRICS}
    for u in range(test.shape[0]):
        targets = test.indices[test.indptr[u] : test.indptr[u + 1]]
        if len(targets) == 0:
            continue
        hit = np.isin(top[u], targets)
        for k in CUTOFFS:
            h, r, most = hit[:k], np.arange(1, k + 1), min(k, len(targets))
            discount = 1 / np.log2(r + 1)
            values = {
                "recall": h.sum() / len(targets),
                "precision": h.sum() / k,
                "ndcg": (h * discount).sum() / discount[:most].sum(),
                "hit_rate": float(h.any()),
                "f1": 2 * h.sum() / (k + len(targets)),
                "mean_average_precision": (h * h.cumsum() / r).sum() / most,
                "mrr": 1 / (1 + h.argmax()) if h.any() else 0.0,
            }
            for name, value in values.items():
                rows[f"{name}@{k}"].append(value)
    return {name: float(np.mean(values)) for name, values in rows.items()}


def numpy_split(X: Any, fraction: float, seed: int) -> tuple[Any, Any]:
    """One sort of random keys by row, the fastest way there is in NumPy."""
    lengths = np.diff(X.indptr)
    rows = np.repeat(np.arange(X.shape[0], dtype=np.int32), lengths)
    order = np.lexsort((np.random.default_rng(seed).random(X.nnz), rows))
    chosen = np.zeros(X.nnz, np.bool_)
    place = np.arange(X.nnz) - np.repeat(X.indptr[:-1], lengths)
    chosen[order] = place < np.repeat(np.floor(fraction * lengths + 1e-9), lengths)
    parts = []
    for mask in (~chosen, chosen):
        indptr = np.concatenate([[0], np.cumsum(mask)])[X.indptr]
        parts.append(sp.csr_matrix((X.data[mask], X.indices[mask], indptr), shape=X.shape))
    return parts[0], parts[1]


def peers(train: Any, test: Any, top: Any, scores: Any) -> dict[str, Any]:
    """Seconds and means of irspack and LensKit, each in a process of its own, on the same lists or scores."""
    python = os.environ.get("FASTLAE_PEERS")
    if python is None:
        print("FASTLAE_PEERS is not set: no peers")
        return {}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        sp.save_npz(f"{folder}/train.npz", train)
        sp.save_npz(f"{folder}/test.npz", test)
        np.save(f"{folder}/top.npy", top)
        np.save(f"{folder}/scores.npy", scores)
        for name in ("irspack", "lenskit", "irspack_split"):
            command = [python, str(PEERS), name, folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results[name] = json.loads(done.stdout.splitlines()[-1])
    return results


def check(name: str, ours: Any, theirs: dict[str, float]) -> None:
    """Every mean that a peer gives is ours."""
    for metric, value in theirs.items():
        assert abs(float(ours[metric]) - value) < 1e-6, (name, metric, float(ours[metric]), value)


def gowalla() -> dict[str, Any]:
    """Scores by a dense random W of all items: their cost is that of any full-rank model."""
    folder = data_folder() / "gowalla"
    train, test = (sp.load_npz(folder / f"{part}.npz").astype(np.float32) for part in ("train", "test"))
    n = train.shape[1]
    rng = np.random.default_rng(0)
    W = np.empty((n, n), np.float32)
    for row in W:
        rng.random(out=row, dtype=np.float32)
    start = time.perf_counter()
    fastlae.ops.recommend(train, W, k=max(CUTOFFS))
    scoring = time.perf_counter() - start
    scores = fastlae.ops.score(train[:SCORED], W)
    del W
    top, _ = fastlae.Popularity().fit(train).recommend(train, max(CUTOFFS))  # lists that hit now and then
    counted = np.diff(test.indptr) > 0
    given = Given(top[counted])
    arguments: dict[str, Any] = {"k": CUTOFFS, "metrics": METRICS}

    def ours() -> Any:
        shares = [fastlae.evaluation.coverage(top, n, k) for k in CUTOFFS]
        return fastlae.evaluation.evaluate(given, train, test, **arguments), shares

    def from_scores() -> Any:
        items, _ = fastlae.ops.topk(scores, k=max(CUTOFFS), hidden=train[:SCORED])
        return fastlae.evaluation.evaluate(Given(items[counted[:SCORED]]), train[:SCORED], test[:SCORED], **arguments)

    check("numpy", ours()[0], numpy_metrics(top, test))
    times = alternate({"fastlae": ours, "fastlae, from scores": from_scores}, repeat=7)
    times |= alternate({"numpy": lambda: numpy_metrics(top, test)}, repeat=1)
    found = peers(train, test, top, scores)
    if found:
        check("irspack", from_scores(), found["irspack"].pop("means"))
        strong = fastlae.evaluation.evaluate(given, train, test, **arguments, protocol="strong")
        check("lenskit", strong, found["lenskit"].pop("means"))  # its recall has min(k, |T|) below
    return {
        "users": train.shape[0],
        "items": n,
        "scored_users": SCORED,
        "seconds": {"scoring": round(scoring, 2), **{name: median(t) for name, t in times.items()}},
        "peers": found,
        "split_seconds": split_times(train),
    }


def split_times(X: Any) -> dict[str, float]:
    """A fifth of every user's items to test on; a tenth of the users held out twice."""
    for ours, numpys in zip(fastlae.data.split_weak(X, 0.2, seed=0), numpy_split(X, 0.2, 0), strict=True):
        assert (ours != numpys).nnz == 0
    times = alternate(
        {
            "weak": lambda: fastlae.data.split_weak(X, 0.2, seed=0),
            "strong": lambda: fastlae.data.split_strong(X, seed=0),
        },
        repeat=5,
    )
    times |= alternate({"weak, numpy": lambda: numpy_split(X, 0.2, 0)}, repeat=1)
    return {name: median(t) for name, t in times.items()}


def ml20m() -> dict[str, Any]:
    """Lists at random, half of whose slots are taken from the targets, so that there is something to count."""
    X = fastlae.data.make_interactions(**ML20M, seed=0)
    train, test = fastlae.data.split_weak(X, 0.2, seed=0)
    rng = np.random.default_rng(0)
    rows = np.diff(test.indptr)
    hits = test.indices[(test.indptr[:-1, None] + rng.integers(0, np.maximum(rows, 1)[:, None], (len(rows), 50)))]
    top = np.where(rng.random(hits.shape) < 0.5, hits, rng.integers(0, X.shape[1], hits.shape)).astype(np.int32)
    given = Given(top[rows > 0])
    times = alternate(
        {"fastlae": lambda: fastlae.evaluation.evaluate(given, train, test, k=CUTOFFS, metrics=METRICS)}, repeat=5
    )
    return {"shape": ML20M, "seconds": {"fastlae": median(times["fastlae"])}, "split_seconds": split_times(X)}


def main() -> None:
    """Check, then time."""
    save("evaluate", {"metrics": METRICS, "cutoffs": CUTOFFS, "gowalla": gowalla(), "ml20m": ml20m()})
