"""Interactions from 20 million rows of CSV and of Parquet, beside pyarrow's own read of the same file."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .harness import in_child, median, reset_peak, save

SHAPE = {"n_users": 138_493, "n_items": 26_744, "n_rows": 20_000_000}
REPEAT = 5


def write(folder: Path) -> None:
    """A ratings file of MovieLens-20M's shape: sorted by user, items long-tailed and in no order, ids with gaps."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    import fastlae

    X = fastlae.data.make_interactions(SHAPE["n_users"], SHAPE["n_items"], SHAPE["n_rows"], seed=0)
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(X.nnz), np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))))
    columns = {
        "userId": np.repeat(np.arange(1, X.shape[0] + 1), np.diff(X.indptr)),
        "movieId": X.indices[order].astype(np.int64) * 5 + 1,
        "rating": rng.integers(1, 11, X.nnz) / 2,
        "timestamp": rng.integers(800_000_000, 1_500_000_000, X.nnz),
    }
    table = pa.table(columns)
    pyarrow.csv.write_csv(table, folder / "ratings.csv")
    pyarrow.parquet.write_table(table, folder / "ratings.parquet")


def warm() -> None:
    """Touch as much memory as a read takes: on a virtual machine the host may have to find it first, in seconds."""
    for _ in range(2):
        np.ones(3 * 2**27)


def pyarrow_read(path: str) -> dict[str, Any]:
    """The whole table, as pyarrow reads it without options."""
    import pyarrow.csv
    import pyarrow.parquet

    warm()
    reset_peak()
    start = time.perf_counter()
    table = pyarrow.csv.read_csv(path) if path.endswith(".csv") else pyarrow.parquet.read_table(path)
    return {"seconds": time.perf_counter() - start, "table_gb": table.nbytes / 1e9, "rows": table.num_rows}


def interactions_read(path: str) -> dict[str, Any]:
    """The same file as Interactions, timestamps kept."""
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401  (its import is not what is timed)

    import fastlae

    warm()
    reset_peak()
    start = time.perf_counter()
    X = fastlae.Interactions.read(path, duplicates="last")
    seconds = time.perf_counter() - start
    assert X.timestamps is not None
    assert len(X.timestamps) == X.nnz
    return {"seconds": seconds, "rows": X.nnz + X.n_duplicates}


def check(path: str) -> dict[str, Any]:
    """The entries against NumPy's on the columns of the file."""
    import pyarrow.parquet

    import fastlae

    table = pyarrow.parquet.read_table(path)
    users, items, ratings = (table[name].to_numpy() for name in ("userId", "movieId", "rating"))
    X = fastlae.Interactions.read(path, min_rating=4, duplicates="sum", binary=False)
    pairs, inverse = np.unique(users * 1_000_000 + items, return_inverse=True)
    sums = np.bincount(inverse, weights=ratings)
    wanted = pairs[sums >= 4], sums[sums >= 4]
    got = X.to_arrays()
    assert np.array_equal(got["user"] * 1_000_000 + got["item"], wanted[0])
    assert np.array_equal(got["value"], wanted[1])
    return {}


def main() -> None:
    """Check, then time in turns, every read in a process of its own, so that its peak of memory is its own."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        in_child("bench.data", "check", str(folder / "ratings.parquet"))
        for ending in ("csv", "parquet"):
            path = str(folder / f"ratings.{ending}")
            runs: dict[str, list[dict[str, Any]]] = {"pyarrow": [], "fastlae": []}
            for _ in range(REPEAT):
                for contender, case in (("pyarrow", "pyarrow_read"), ("fastlae", "interactions_read")):
                    runs[contender].append(in_child("bench.data", case, path))
            assert runs["fastlae"][0]["rows"] == runs["pyarrow"][0]["rows"]
            seconds = {contender: median([r["seconds"] for r in of]) for contender, of in runs.items()}
            peak = {contender: max(r["peak_gb"] for r in of) for contender, of in runs.items()}
            table = round(runs["pyarrow"][0]["table_gb"], 3)
            results[ending] = {
                "seconds": seconds,
                "fastlae_over_pyarrow": round(seconds["fastlae"] / seconds["pyarrow"], 2),
                "table_gb": table,
                "peak_gb": peak,
                "peak_over_table": round(peak["fastlae"] / table, 2),
            }
    save("data", {"shape": SHAPE, **results})
