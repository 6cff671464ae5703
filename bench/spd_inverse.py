"""ops.spd_inverse beside LAPACK, torch, numpy.linalg.inv and the best matrix product of the run, a process each."""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from .harness import Workers, earlier, machine, merge_rows, save, timed

SIZES = (1000, 2000, 4000, 6000, 8000)
GEMM_SIZE = 6000
LARGE = 40_981  # the items of Gowalla; SciPy's and torch's LAPACK crash there, or need three such matrices
SCIPY_LIMIT = 26_000  # multithreaded LAPACK in some wheels crashes above
KEYS = ("kind", "dtype", "threads", "n", "contender")
ROUNDS = 5
SECONDS = {"gemm": 4.0, "inverse": 8.0}  # spent on one contender and size, but for the last call


@functools.lru_cache(maxsize=1)
def interactions(n: int) -> Any:
    """Data whose Gram matrix is inverted."""
    import fastlae

    return fastlae.data.make_interactions(n_users=2 * n, n_items=n, n_interactions=40 * n, seed=0)


def matrix(n: int, dtype: str) -> np.ndarray[Any, Any]:
    """Of the kind that models invert: a Gram matrix plus a ridge."""
    import fastlae

    G = fastlae.ops.gram(interactions(n), dtype=np.dtype(dtype))
    G.reshape(-1)[:: n + 1] += 20
    return G


def inverse_by_fastlae(a: np.ndarray[Any, Any], threads: int) -> Any:
    """In the memory of `a`."""
    import fastlae

    return fastlae.ops.spd_inverse(a, overwrite_a=True, num_threads=threads)


def inverse_by_scipy(a: np.ndarray[Any, Any], threads: int) -> Any:
    """potrf and potri in the memory of `a`; only one triangle is written, as LAPACK leaves it."""
    from scipy.linalg import lapack

    assert len(a) <= SCIPY_LIMIT
    factor, inverse = (lapack.spotrf, lapack.spotri) if a.dtype == np.float32 else (lapack.dpotrf, lapack.dpotri)
    c, info = factor(a.T, lower=1, overwrite_a=1, clean=0)
    assert info == 0
    c, info = inverse(c, lower=1, overwrite_c=1)
    assert info == 0
    return c.T


def inverse_by_torch(a: np.ndarray[Any, Any], threads: int) -> Any:
    """torch.cholesky_inverse(torch.linalg.cholesky(A)) on the CPU."""
    import torch

    torch.set_num_threads(threads)
    return torch.cholesky_inverse(torch.linalg.cholesky(torch.from_numpy(a))).numpy()


def inverse_by_numpy(a: np.ndarray[Any, Any], threads: int) -> Any:
    """numpy.linalg.inv, a general inverse."""
    return np.linalg.inv(a)


def product_by_fastlae(a: np.ndarray[Any, Any], threads: int) -> Any:
    """The kernel of our own that the models use."""
    from fastlae.ops.score import product

    return product(a, a, threads)


def product_by_numpy(a: np.ndarray[Any, Any], threads: int) -> Any:
    """NumPy's BLAS; two different arrays, since it has a short cut for A A^T."""
    return a @ a.copy()


def product_by_scipy(a: np.ndarray[Any, Any], threads: int) -> Any:
    """SciPy's BLAS."""
    from scipy.linalg import blas

    return (blas.sgemm if a.dtype == np.float32 else blas.dgemm)(1.0, a.T, a.T)


def product_by_torch(a: np.ndarray[Any, Any], threads: int) -> Any:
    """torch's BLAS."""
    import torch

    torch.set_num_threads(threads)
    return torch.from_numpy(a) @ torch.from_numpy(a)


CASES: dict[str, dict[str, Callable[[np.ndarray[Any, Any], int], Any]]] = {
    "gemm": {
        "fastlae": product_by_fastlae,
        "numpy": product_by_numpy,
        "scipy": product_by_scipy,
        "torch": product_by_torch,
    },
    "inverse": {
        "fastlae": inverse_by_fastlae,
        "scipy": inverse_by_scipy,
        "torch": inverse_by_torch,
        "numpy": inverse_by_numpy,
    },
}


def residual(strip: np.ndarray[Any, Any], n: int, dtype: str) -> float:
    """Largest entry of the first rows of C A - I, in float64."""
    A, worst = matrix(n, dtype), 0.0
    for begin in range(0, n, 2048):
        block = strip @ A[:, begin : begin + 2048].astype(np.float64)
        worst = max(worst, float(np.abs(block - np.eye(len(strip), n)[:, begin : begin + 2048]).max()))
    return worst


def one(kind: str, contender: str, n: int, dtype: str, threads: int, check: bool) -> dict[str, Any]:
    """In a worker: one timed call on a fresh matrix. The memory is told in matrices, the given one included."""
    call = CASES[kind][contender]
    call(matrix(256, dtype), threads)  # libraries load and start their threads here
    a = matrix(n, dtype)
    result, measured = timed(lambda: call(a, threads))
    measured["matrices"] = 1 + measured.pop("added_gb") * 1e9 / a.nbytes
    if check and kind == "inverse":
        strip = np.array(result[:32], dtype=np.float64)
        strip[:, :32] = np.triu(strip[:, :32]) + np.triu(strip[:, :32], 1).T  # LAPACK fills one triangle
        del result, a
        measured["residual"] = residual(strip, n, dtype)
        assert measured["residual"] < (1e-3 if dtype == "float32" else 1e-11), measured
    return measured


def measure(
    kind: str, n: int, dtype: str, threads: int, contenders: list[str], workers: Workers
) -> list[dict[str, Any]]:
    """All contenders in turns; slow ones fewer times. The result is checked before anything is timed."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    rows: dict[str, dict[str, Any]] = {}
    for round_ in range(ROUNDS):
        for name, spent in times.items():
            if round_ == 0 or sum(spent) < SECONDS[kind]:
                try:
                    found = workers(name, threads).call(
                        "bench.spd_inverse:one", kind, name, n, dtype, threads, round_ == 0
                    )
                except RuntimeError as error:
                    if "ModuleNotFoundError" not in str(error):
                        raise
                    print(f"{name} left out: {error}")
                    spent.append(np.inf)
                    continue
                spent.append(found["seconds"])
                rows.setdefault(name, found)
    done = []
    for name, row in rows.items():
        seconds = statistics.median(times[name])
        flops = 2 * n**3 if kind == "gemm" else n**3
        done.append(
            {"kind": kind, "contender": name, "n": n, "dtype": dtype, "threads": threads}
            | {"seconds": round(seconds, 5), "calls": len(times[name]), "gflops": round(flops / seconds / 1e9, 1)}
            | {"matrices": round(row["matrices"], 2)}
            | ({"residual": float(f"{row['residual']:.1e}")} if "residual" in row else {})
        )
        print(done[-1], flush=True)
    return done


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is wanted of the kernel beside what was measured; missed ones are named as such."""
    by = {(r["kind"], r["contender"], r["n"], r["dtype"], r["threads"]): r for r in rows}
    most = max((r["threads"] for r in rows), default=1)
    found: list[dict[str, Any]] = []

    def add(bar: str, ours: dict[str, Any], wanted: float, value: float) -> None:
        found.append({"bar": bar, "n": ours["n"], "dtype": ours["dtype"], "threads": ours["threads"]})
        found[-1] |= {"wanted": wanted, "measured": round(value, 3), "met": bool(round(value, 3) >= wanted)}

    for (kind, contender, n, dtype, threads), ours in by.items():
        if kind != "inverse" or contender != "fastlae":
            continue
        if n >= 6000:
            if peer := by.get(("inverse", "scipy", n, dtype, threads)):
                add("SciPy potrf + potri", ours, 1.0, peer["seconds"] / ours["seconds"])
            add("share of the best matrix product", ours, 0.9, ours["gflops"] / ours["best_product"])
        if n >= 4000 and threads == most:
            if peer := by.get(("inverse", "torch", n, dtype, threads)):
                add("torch", ours, 2.2, peer["seconds"] / ours["seconds"])
            if dtype == "float32" and (peer := by.get(("inverse", "numpy", n, "float64", threads))):
                add("numpy.linalg.inv in float64", ours, 7.0, peer["seconds"] / ours["seconds"])
            if threads > 1 and (single := by.get(("inverse", "fastlae", n, dtype, 1))):
                add("scaling, of linear", ours, 0.9, single["seconds"] / ours["seconds"] / threads)
    return found


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="orders (12000 takes minutes)")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, nargs="+", help="1 and all by default")
    parser.add_argument(
        "--add", action="store_true", help="keep the rows of earlier runs that this one does not repeat"
    )
    parser.add_argument("--large", action="store_true", help=f"only n = {LARGE:,}, fastlae alone: minutes, 14 GB")
    return parser


def main() -> None:
    """On one thread fastlae and SciPy only: the others would take minutes."""
    options = arguments().parse_args()
    everything = machine()["threads"]
    rows = []
    cases = [(LARGE, "float32")] if options.large else [(n, dtype) for n in options.sizes for dtype in options.dtypes]
    with Workers() as workers:
        for threads in options.threads or ([everything] if options.large else sorted({1, everything})):
            contenders = list(CASES["inverse"]) if threads == everything else ["fastlae", "scipy"]
            for dtype in sorted({dtype for _, dtype in cases}):
                products = measure("gemm", GEMM_SIZE, dtype, threads, list(CASES["gemm"]), workers)
                best = max(row["gflops"] for row in products)
                rows += products
                for n in (n for n, other in cases if other == dtype):
                    found = measure("inverse", n, dtype, threads, ["fastlae"] if options.large else contenders, workers)
                    rows += [{**row, "best_product": best} for row in found]
    name = "spd_inverse_large" if options.large else "spd_inverse"
    if options.add:
        rows = merge_rows((earlier(name) or {}).get("rows", []), rows, KEYS)
    save(name, {"rows": rows, "bars": bars(rows)})
