"""ImplicitSLIM on the MovieLens-20M shape, by dimension: beside the authors' formula and the steps that it replaces."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import fastlae

from .harness import earlier, fit_power, median, save, timed

SHAPE = {"n_users": 136_677, "n_items": 20_108, "n_interactions": 10_000_000}
DIMS = (64, 128, 256, 512, 1024)
L2, ALPHA, MIN_COUNT = 945.0, 0.81, 265
SECONDS = 25.0  # of a contender and dimension


def published(E: Any, X: Any) -> Any:
    """Equations (13) and (14) as the paper has them, in NumPy and SciPy, in the precision of E and X."""
    f = E.dtype.type
    counts = np.asarray(X.sum(axis=0)).ravel()
    A = E.copy()
    A[counts < MIN_COUNT] = 0
    square = (f(1) / (counts + f(L2))[:, None]) ** 2
    once = (X.T @ (X @ A) + f(L2) * A) * square
    F = X.T @ (X @ once) + f(L2) * once
    S = A.T @ F
    correction = F @ np.linalg.solve(np.eye(len(S), dtype=E.dtype) / f(ALPHA) + S, S)
    return f(ALPHA) * (F - correction) @ (A.T @ E)


def explicit(E: Any, X: Any) -> dict[str, float]:
    """The steps that are avoided, by our own kernels: SLIM's inverse, then V from it."""
    start = time.perf_counter()
    G = fastlae.ops.gram(X)
    counts = G.diagonal().copy()
    G[np.diag_indices_from(G)] += np.float32(L2)
    P = fastlae.ops.spd_inverse(G, overwrite_a=True)
    first = time.perf_counter() - start
    start = time.perf_counter()
    A = E.copy()
    A[counts < MIN_COUNT] = 0
    # (R + alpha A A^T)^-1 A A^T E with R = P D^2 P formed and inverted, as the paper's "explicit" rows do.
    P *= counts + np.float32(L2)
    R = P @ P.T
    R += np.float32(ALPHA) * (A @ A.T)
    R = (R + R.T) / 2
    V = np.float32(ALPHA) * (fastlae.ops.spd_inverse(R, overwrite_a=True) @ (A @ (A.T @ E)))
    del V
    return {"slim": round(first, 2), "embeddings": round(time.perf_counter() - start, 2)}


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dims", nargs="*", type=int, default=list(DIMS))
    parser.add_argument(
        "--explicit",
        action="store_true",
        help="the explicit steps too (some minutes, 6.5 GB); with an empty --dims beside the rows of an earlier run",
    )
    return parser


def main() -> None:
    """Check, then time in turns; memory is what a call takes beyond its arguments."""
    options = arguments().parse_args()
    X = fastlae.data.make_interactions(**SHAPE, seed=0)
    X = X.astype(np.float32)
    rows: list[dict[str, Any]] = []
    for dim in options.dims:
        E = np.random.default_rng(0).standard_normal((X.shape[1], dim)).astype(np.float32)

        def ours(E: Any = E) -> Any:
            return fastlae.ops.implicit_slim(E, X, l2=L2, alpha=ALPHA, min_count=MIN_COUNT)

        V, memory = timed(ours)
        W, their_memory = timed(lambda E=E: published(E, X))
        exact = fastlae.ops.implicit_slim(E.astype(np.float64), X, l2=L2, alpha=ALPHA, min_count=MIN_COUNT)
        if dim == min(options.dims):  # both forms in double precision: the same equation
            other = published(E.astype(np.float64), X.astype(np.float64))
            if np.abs(other - exact).max() > 1e-6 * np.abs(exact).max():
                raise ValueError("the two forms differ in float64")
        errors = {
            name: float(f"{np.abs(found - exact).max() / np.abs(exact).max():.1e}")
            for name, found in (("fastlae", V), ("published", W))
        }
        if errors["fastlae"] > 2e-2:
            raise ValueError(f"dim {dim}: float32 differs from float64 by {errors['fastlae']:.1e}")
        times: dict[str, list[float]] = {"fastlae": [], "published": [], "gram_product": []}
        product = np.empty_like(E)
        calls = {
            "fastlae": ours,
            "published": lambda E=E: published(E, X),
            "gram_product": lambda E=E, out=product: fastlae.ops.gram_product(E, X, out=out),
        }
        for _ in range(5):
            for name, call in calls.items():
                if sum(times[name]) > SECONDS / 5:
                    continue
                time.sleep(0.2)
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
        seconds = {name: median(spent) for name, spent in times.items()}
        rows.append(
            {
                "dim": dim,
                "seconds": seconds,
                "calls": {name: len(spent) for name, spent in times.items()},
                "added_gb": {"fastlae": round(memory["added_gb"], 3), "published": round(their_memory["added_gb"], 3)},
                "times_as_fast": round(seconds["published"] / seconds["fastlae"], 2),
                "error": errors,
            }
        )
        print(rows[-1], flush=True)
    results: dict[str, Any] = {"shape": SHAPE, "rows": rows} if rows else earlier("implicit_slim") or {}
    if len(rows) > 1:
        exponent, _ = fit_power([r["dim"] for r in rows], [r["seconds"]["fastlae"] for r in rows])
        results["exponent_of_dim"] = round(exponent, 2)
        half = X[: X.shape[0] // 2]
        E = np.random.default_rng(0).standard_normal((X.shape[1], 128)).astype(np.float32)
        by_nnz = []
        for part in (half, X):
            spent = [timed(lambda p=part: fastlae.ops.gram_product(E, p))[1]["seconds"] for _ in range(3)]
            by_nnz.append({"nnz": int(part.nnz), "gram_product_dim_128": median(spent)})
        results["by_nnz"] = by_nnz
    if options.explicit:
        E = np.random.default_rng(0).standard_normal((X.shape[1], 256)).astype(np.float32)
        results["explicit"] = explicit(E, X)
    save("implicit_slim", results)
