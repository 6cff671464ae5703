"""Laplacian Eigenmaps and LEPORID of 47,143 users with 1,000 neighbours (the paper's Anime), beside ARPACK."""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg

import fastlae

from .harness import save, timed

USERS, ITEMS, INTERACTIONS, NEIGHBOURS, DIM = 47_143, 6_535, 6_143_751, 1_000, 64
PAPER_SECONDS = {"le": 172.0}  # Zhang et al., KDD 2021: 64 vectors of this many users


def residual(graph: Any, V: Any, alpha: float) -> float:
    """The largest ‖N v - θ v‖, in float64."""
    w = np.asarray(graph.sum(axis=1), np.float64).ravel()
    scale = 1 / np.sqrt(np.maximum(w + alpha * (w.max() - w), 1e-300))
    V = V.astype(np.float64)
    NV = scale[:, None] * (graph @ (scale[:, None] * V))
    return float(np.linalg.norm(NV - V * np.einsum("ij,ij->j", V, NV), axis=0).max())


def arpack(graph: Any, alpha: float, tol: float) -> Any:
    """The same vectors by SciPy's eigsh."""
    w = np.asarray(graph.sum(axis=1), np.float64).ravel()
    scale = sp.diags(1 / np.sqrt(np.maximum(w + alpha * (w.max() - w), 1e-300))).astype(np.float32)
    N = (scale @ graph @ scale).tocsr()
    start = np.random.default_rng(0).standard_normal(N.shape[0]).astype(np.float32)
    return scipy.sparse.linalg.eigsh(N, k=DIM, which="LA", tol=tol, v0=start)[1][:, ::-1]


def main() -> None:
    """Time both, and check the residuals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--alphas", nargs="*", type=float, default=[0.0, 0.5])
    parser.add_argument("--arpack", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    share = options.users / USERS
    X = fastlae.data.make_interactions(options.users, ITEMS, int(share * INTERACTIONS), seed=0)
    start = time.perf_counter()
    graph = fastlae.ops.knn_graph(sp.csr_matrix(X.T), k=min(NEIGHBOURS, options.users - 1), metric="jaccard")
    results: dict[str, Any] = {
        "users": options.users,
        "dim": DIM,
        "nnz": int(graph.nnz),
        "graph_seconds": round(time.perf_counter() - start, 2),
        "paper_seconds": PAPER_SECONDS["le"],
        "rows": [],
    }
    for alpha in options.alphas:
        contenders = {"fastlae": lambda a: fastlae.ops.laplacian_eigenmaps(graph, dim=DIM, alpha=a)}
        if options.arpack:
            contenders["scipy"] = lambda a: arpack(graph, a, 1e-5)
        row: dict[str, Any] = {"alpha": alpha, "seconds": {}, "cpu_seconds": {}, "added_gb": {}, "residual": {}}
        for name, solve in contenders.items():
            before = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                V, cost = timed(lambda f=solve, a=alpha: f(a))
            row["cpu_seconds"][name] = round(time.process_time() - before, 2)
            row["seconds"][name] = round(cost["seconds"], 2)
            row["added_gb"][name] = round(cost["added_gb"], 2)
            row["residual"][name] = residual(graph, V, alpha)
        results["rows"].append(row)
        print(row, flush=True)
    save("laplacian", results)
