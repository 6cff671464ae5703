"""ops.gram beside SciPy and MKL: additions, bytes written, memory."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .harness import Workers, data_folder, earlier, in_child, median, save

# Beside the data sets: users, items, interactions of generated data. SciPy and MKL take part where they need no more
# than a minute.
SHAPES = {
    "ml-20m shape": (136_677, 20_108, 10_000_000),
    "netflix shape": (463_435, 17_769, 56_900_000),
    "msd shape": (571_355, 41_140, 33_600_000),
}
DATA = ("ml-1m", "gowalla")
PEERS = ("ml-1m", "gowalla", "ml-20m shape")
REPEAT = 5
SECONDS = 20.0  # spent on one contender, but for the last call


def interactions(case: str) -> Any:
    """The matrix of a case, kept in a file between the processes of this benchmark."""
    if case in DATA:
        X = sp.load_npz(data_folder() / case / "train.npz").tocsr().astype(np.float32)
        X.data[:] = 1
        return X
    users, items, count = SHAPES[case]
    path = Path(tempfile.gettempdir()) / f"fastlae-bench-{users}-{items}-{count}.npz"
    if not path.exists():
        X = fastlae.data.make_interactions(n_users=users, n_items=items, n_interactions=count, seed=0)
        sp.save_npz(path, X, compressed=False)
    return sp.load_npz(path)


def checksum(G: Any) -> list[float]:
    """Exact for counts: rows and positions enter with weights of their own."""
    n = len(G)
    w = (np.arange(n) % 1009).astype(np.float64)
    blocks = [G[i : i + 512].astype(np.float64) @ w for i in range(0, n, 512)]
    rows = np.concatenate(blocks) if blocks else np.zeros(0)
    return [float(rows.sum()), float(rows @ (np.arange(n) % 997))]


def expected(X: Any) -> list[float]:
    """The checksum of X^T X, from two products with vectors."""
    n = X.shape[1]
    rows = X.T.astype(np.float64) @ (X.astype(np.float64) @ (np.arange(n) % 1009).astype(np.float64))
    return [float(rows.sum()), float(rows @ (np.arange(n) % 997))]


def call_of(name: str, X: Any, threads: int) -> Callable[[], Any]:
    """The call to time."""
    if name == "fastlae":
        return lambda: fastlae.ops.gram(X, num_threads=threads)
    if name == "scipy":
        return lambda: (X.T @ X).toarray()
    if libraries := sorted(Path(sys.prefix, "lib").glob("libmkl_rt.so*")):  # as the package mkl installs it
        os.environ.setdefault("MKL_RT", str(libraries[0]))
    import sparse_dot_mkl  # not above: its threads disturb others

    sparse_dot_mkl.mkl_set_num_threads(threads)
    return lambda: sparse_dot_mkl.gram_matrix_mkl(X, dense=name == "mkl dense")


def check(name: str, G: Any, X: Any) -> None:
    """MKL makes the upper triangle alone."""
    if name.startswith("mkl"):
        sums = X.T.astype(np.float64) @ (X.astype(np.float64) @ np.ones(X.shape[1]))
        both = G.sum(axis=0) + G.sum(axis=1).T - G.diagonal() if name == "mkl sparse" else None
        right = both is None or np.array_equal(np.asarray(both).ravel(), sums)
        right = right and np.array_equal(G.diagonal(), np.asarray(X.sum(axis=0)).ravel())
    else:
        right = checksum(G) == expected(X)
    if not right:
        raise ValueError(f"{name}: wrong result")


_prepared: dict[tuple[str, str, int], Callable[[], Any]] = {}


def one(case: str, name: str, threads: int) -> dict[str, Any]:
    """In a worker: one timed call; before the first of a case, one whose result is checked."""
    key = case, name, threads
    if key not in _prepared:
        X = interactions(case)
        _prepared.clear()
        _prepared[key] = call_of(name, X, threads)
        check(name, _prepared[key](), X)
    start = time.perf_counter()
    G = _prepared[key]()
    seconds = time.perf_counter() - start
    del G
    return {"seconds": seconds}


def touch(size: str, threads: str) -> dict[str, Any]:
    """Seconds to write a fresh array of `size` bytes in parallel, the pages being as NumPy asks for them."""
    from concurrent.futures import ThreadPoolExecutor

    bytes_, workers = int(size), int(threads)
    times = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        a = np.empty(bytes_, np.uint8)
        parts = [a[k : k + (16 << 20)] for k in range(0, bytes_, 16 << 20)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda part: part.fill(1), parts))
        times.append(time.perf_counter() - start)
        del a, parts
        time.sleep(0.3)
    return {"seconds": median(times)}


def run_case(case: str) -> dict[str, Any]:
    """All contenders on one case."""
    X = interactions(case)
    rows = np.diff(X.indptr).astype(float)
    size = 4 * X.shape[1] ** 2
    result: dict[str, Any] = {
        "shape": {"n_users": X.shape[0], "n_items": X.shape[1], "n_interactions": int(X.nnz)},
        "additions": float((rows * (rows + 1) / 2).sum()),
        "output_gb": round(size / 1e9, 3),
        "write": {},
        "contenders": {},
    }
    del X
    from fastlae._threads import available_threads

    all_threads = available_threads()[0]
    for threads in sorted({1, all_threads}):
        result["write"][str(threads)] = in_child("bench.gram", "touch", str(size), str(threads))["seconds"]
    contenders = [("fastlae", threads) for threads in sorted({1, all_threads})]
    if case in PEERS:
        contenders += [("scipy", 1)]
        if importlib.util.find_spec("sparse_dot_mkl"):
            contenders += [("mkl sparse", all_threads), ("mkl dense", all_threads)]
    times: dict[tuple[str, int], list[float]] = {}
    peak: dict[tuple[str, int], float] = {}
    with Workers() as workers:
        for _ in range(REPEAT):
            for name, threads in contenders:
                spent = times.setdefault((name, threads), [])
                if sum(spent) > SECONDS:
                    continue
                time.sleep(0.3)
                row = workers(name, threads).call("bench.gram:one", case, name, threads)
                spent.append(row["seconds"])
                peak[name, threads] = max(peak.get((name, threads), 0), row["peak_gb"])
    for name, threads in contenders:
        seconds = median(times[name, threads])
        row = {"seconds": seconds, "best": round(min(times[name, threads]), 4), "calls": len(times[name, threads])}
        row["peak_gb"] = round(peak[name, threads], 2)
        if name == "fastlae":
            row |= {"gb_per_s": round(size / 1e9 / seconds, 1)}
            row |= {"additions_per_s": round(result["additions"] / seconds)}
        result["contenders"][f"fastlae, {threads} threads" if name == "fastlae" else name] = row
    print(case, json.dumps(result), flush=True)
    return result


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=[*DATA, *SHAPES], choices=[*DATA, *SHAPES])
    parser.add_argument("--add", action="store_true", help="keep other cases of the file")
    return parser


def main() -> None:
    """Check and time every case; the keys beside `cases` are those of the MovieLens-20M shape."""
    options = arguments().parse_args()
    old = (earlier("gram") or {}).get("cases", {}) if options.add else {}
    cases = old | {case: run_case(case) for case in options.cases}
    results: dict[str, Any] = {"cases": cases}
    if main_case := cases.get("ml-20m shape"):
        contenders = main_case["contenders"]
        ours = min(row["seconds"] for name, row in contenders.items() if name.startswith("fastlae"))
        results |= {
            "shape": main_case["shape"],
            "additions": main_case["additions"],
            "seconds": {"fastlae": ours, "scipy": contenders["scipy"]["seconds"]},
            "scipy_over_fastlae": round(contenders["scipy"]["seconds"] / ours, 1),
        }
    save("gram", results)
