"""Recommending to everybody and to one user: fastlae in every precision, NumPy and SciPy, and three packages.

The packages are taken from the interpreter that the variable FASTLAE_PEERS names (with implicit, irspack and
lenskit==2025.8.*), each in a process of its own; a package that it lacks is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .harness import alternate, save
from .recommend_peers import weights

PACKAGES = ("implicit", "irspack", "lenskit")
N_ITEMS, K = 20_108, 100


def numpy_recommend(X: Any, W: Any, k: int, block: int = 1024) -> Any:
    """What people write by hand, block by block."""
    lists = []
    for begin in range(0, X.shape[0], block):
        x = X[begin : begin + block]
        scores = x @ W
        scores = scores.toarray() if sp.issparse(scores) else scores
        scores[x.nonzero()] = -np.inf
        best = np.argpartition(-scores, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        lists.append(np.take_along_axis(best, order, 1))
    return np.concatenate(lists)


def agreement(X: Any, W: Any, ours: Any, theirs: Any) -> float:
    """Share of slots whose scores agree to five digits: ties and rounding may swap neighbours."""
    scores = X @ W
    scores = scores.toarray() if sp.issparse(scores) else scores
    a, b = np.take_along_axis(scores, ours, 1), np.take_along_axis(scores, theirs, 1)
    return float(np.isclose(a, b, rtol=1e-5, atol=1e-5).mean())


def precisions(W: Any) -> dict[str, Any]:
    """W as it may be stored; bfloat16 where ml_dtypes is there."""
    forms = {"float32": W, "float16": W.astype(np.float16)}
    try:
        import ml_dtypes
    except ImportError:
        return forms
    return {**forms, "bfloat16": W.astype(ml_dtypes.bfloat16)}


def one_user(single: Any, call: Any) -> float:
    """Median milliseconds over users with about a hundred interactions, another one every time."""
    rows = [single[u] for u in range(single.shape[0])]
    seconds = []
    for x in rows:
        start = time.perf_counter()
        call(x)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1e3


def package(name: str, kind: str, folder: str) -> dict[str, Any] | None:
    """A peer's figures from its own process."""
    python = sys.executable if name == "fastlae" else os.environ.get("FASTLAE_PEERS", sys.executable)
    script = str(Path(__file__).with_name("recommend_peers.py"))
    done = subprocess.run([python, script, name, kind, str(K), folder], capture_output=True, text=True)
    if "RESULT " not in done.stdout:
        print(f"{name} ({kind}) is left out:", *done.stderr.splitlines()[-1:])
        return None
    result: dict[str, Any] = json.loads(done.stdout.rsplit("RESULT ", 1)[1])
    return result


def measure(kind: str, X: Any, single: Any, folder: str) -> dict[str, Any]:
    """One kind of weights, dense or sparse."""
    W = weights(kind, N_ITEMS)
    ours, _ = fastlae.ops.recommend(X, W, k=K)
    assert agreement(X[:256], W, ours[:256], numpy_recommend(X[:256], W, K)) > 0.999
    forms = precisions(W) if kind == "dense" else {"csr": W, "csc": W.tocsc()}
    result: dict[str, Any] = {"fastlae": {}}
    for name, form in forms.items():
        row: dict[str, Any] = {"one_ms": one_user(single, lambda x, w=form: fastlae.ops.recommend(x, w, k=K))}
        if kind == "dense":
            row["one_gb_per_s"] = single.nnz / single.shape[0] * N_ITEMS * form.itemsize / row["one_ms"] / 1e6
        result["fastlae"][name] = row
    result["numpy"] = {"one_ms": one_user(single, lambda x: numpy_recommend(x, W, K))}
    for k in (K, 20):
        contenders = {n: lambda w=w, k=k: fastlae.ops.recommend(X, w, k=k) for n, w in forms.items()}
        times = alternate({**contenders, "numpy": lambda k=k: numpy_recommend(X, W, k)}, repeat=3)
        for name, seconds in times.items():
            row = result["numpy"] if name == "numpy" else result["fastlae"][name]
            row[f"seconds_k{k}"] = float(np.median(seconds))
            row["users_per_s" if k == K else f"users_per_s_k{k}"] = X.shape[0] / float(np.median(seconds))
    own = package("fastlae", kind, folder)
    result["peak_gb"] = own and own["peak_gb"]
    peers = {"numpy": result["numpy"]}
    del forms
    for name in PACKAGES:
        figures = package(name, kind, folder)
        if figures is not None:
            theirs = np.load(Path(folder) / f"{name}.npy")
            figures["same"] = agreement(X[:32], W, ours[:32], theirs)
            result[name] = peers[name] = figures
    best = next(iter(result["fastlae"].values()))
    result["ratio"] = {
        name: {"one": row["one_ms"] / best["one_ms"], "all": best["users_per_s"] / row["users_per_s"]}
        for name, row in peers.items()
    }
    return result


def rounded(value: Any) -> Any:
    """Four digits of every number."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    """20,108 items, 100 recommendations; random weights, since only their number matters."""
    X = fastlae.data.make_interactions(n_users=4096, n_items=N_ITEMS, n_interactions=300_000, seed=0)
    X = X.astype(np.float32)
    single = X[np.argsort(np.abs(np.diff(X.indptr) - 100), kind="stable")[:60]]
    results: dict[str, Any] = {"items": N_ITEMS, "k": K, "users": X.shape[0], "interactions": int(X.nnz)}
    with tempfile.TemporaryDirectory() as folder:
        sp.save_npz(Path(folder) / "many.npz", X)
        sp.save_npz(Path(folder) / "single.npz", single)
        for kind in ("dense", "sparse"):
            results[kind] = rounded(measure(kind, X, single, folder))
    save("recommend", results)
