"""How time and memory grow with items, interactions and threads; exponents, and the shares that estimates rest on."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from .harness import Workers, fit_power, machine, save, timed

ROUNDS = 3
ORDERS = (500, 1000, 2000, 4000)
K = 20
# What the seconds of a stage are linear in.
FEATURES: dict[str, Any] = {
    "inverse": lambda r: (r["items"] ** 3, r["items"] ** 2),
    "gram": lambda r: (r["additions"], r["items"] ** 2),
    "recommend": lambda r: (r["nnz"] * r["items"], r["users"] * r["items"]),
}


def interactions(users: int, items: int, nnz: int) -> Any:
    """Generated data; with every parameter of the sweeps in its arguments."""
    import fastlae

    return fastlae.data.make_interactions(n_users=users, n_items=items, n_interactions=nnz, seed=0)


def one(op: str, users: int, items: int, nnz: int, dtype: str, threads: int) -> dict[str, Any]:
    """In a worker: the median of timed calls, the largest memory that one added, and what estimates rest on."""
    import fastlae
    from fastlae import _cost

    X = interactions(users, items, nnz)
    G = fastlae.ops.gram(X, dtype=np.dtype(dtype)) if op == "inverse" else None
    if G is not None:
        G.reshape(-1)[:: items + 1] += 20
    W = np.random.default_rng(0).standard_normal((items, items), dtype=np.float32) if op == "recommend" else None
    calls: dict[str, Any] = {
        "gram": lambda: fastlae.ops.gram(X, dtype=np.dtype(dtype), num_threads=threads),
        "inverse": lambda: fastlae.ops.spd_inverse(G, num_threads=threads),
        "fit, items form": lambda: fastlae.EASE(l2=100.0, dtype=dtype, form="items", num_threads=threads).fit(X),
        "fit, users form": lambda: fastlae.EASE(l2=100.0, dtype=dtype, form="users", num_threads=threads).fit(X),
        "recommend": lambda: fastlae.ops.recommend(X, W, k=K, num_threads=threads),
    }
    _cost.rate(dtype, threads)
    additions = _cost.gram_additions((X.tocsc() if op == "fit, users form" else X).indptr)
    calls[op]()
    runs = [timed(calls[op])[1] for _ in range(ROUNDS)]
    return {
        "seconds": statistics.median(run["seconds"] for run in runs),
        "added_gb": round(max(run["added_gb"] for run in runs), 4),
        "additions": additions,
        "rate": _cost.rate(dtype, threads),
        "gram_rate": _cost.rate("float32", threads),
    }


def sweeps(threads: int) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, what grows, case): in every sweep one quantity grows and the others stay."""
    found = []
    for dtype in ("float32", "float64"):
        for n in ORDERS:
            case = {"op": "inverse", "users": 2 * n, "items": n, "nnz": 40 * n, "dtype": dtype, "threads": threads}
            found.append((f"inverse, {dtype}", "items", case))
    base = {"dtype": "float32", "threads": threads}
    for n in (1000, 2000, 4000, 8000):
        found.append(("gram", "items", {"op": "gram", "users": 20_000, "items": n, "nnz": 1_000_000, **base}))
        found.append(("recommend", "items", {"op": "recommend", "users": 2000, "items": n, "nnz": 100_000, **base}))
    for nnz in (250_000, 500_000, 1_000_000, 2_000_000):  # more users of the same kind
        found.append(("gram", "nnz", {"op": "gram", "users": nnz // 50, "items": 4000, "nnz": nnz, **base}))
    for nnz in (50_000, 100_000, 200_000, 400_000):
        found.append(("recommend", "nnz", {"op": "recommend", "users": nnz // 50, "items": 4000, "nnz": nnz, **base}))
    for n in ORDERS:
        case = {"op": "fit, items form", "users": 4 * n, "items": n, "nnz": 80 * n, **base}
        found.append(("fit, items form", "items", case))
        case = {"op": "fit, users form", "users": n, "items": 4 * n, "nnz": 80 * n, **base}
        found.append(("fit, users form", "users", case))
    return found


def exponents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per sweep and number of threads: seconds = constant * x^exponent, and the same of the memory."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["sweep"], row["grows"], row["threads"]), []).append(row)
    found = []
    for (sweep, grows, threads), group in groups.items():
        x = [row[grows] for row in group]
        exponent, constant = fit_power(x, [row["seconds"] for row in group])
        memory = [row["added_gb"] for row in group]
        found.append(
            {"sweep": sweep, "grows": grows, "from": min(x), "to": max(x), "threads": threads}
            | {"exponent": round(exponent, 2), "constant": float(f"{constant:.3g}")}
            | {"seconds_at_largest": round(group[-1]["seconds"], 4), "gb_at_largest": group[-1]["added_gb"]}
            | {"memory_exponent": round(fit_power(x, memory)[0], 2) if min(memory) > 0.001 else None}
        )
    return found


def shares(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The constants of fastlae._cost, in operations of products: non-negative least squares of relative errors."""
    from scipy.optimize import nnls

    found = {}
    for op, feature in FEATURES.items():
        group = [row for row in rows if row["op"] == op]
        work = np.array([r["seconds"] * r["rate" if op == "inverse" else "gram_rate"] for r in group])
        design = np.array([feature(row) for row in group], float)
        found[op] = [float(f"{value:.3g}") for value in nnls(design / work[:, None], np.ones(len(work)))[0]]
    return found


def estimates_off_by(rows: list[dict[str, Any]], constants: dict[str, list[float]]) -> dict[str, float]:
    """Per stage the largest factor, in either direction, between an estimate by these constants and the measurement."""
    worst: dict[str, float] = {}
    for row in rows:
        if row["op"] in constants:
            work = sum(c * f for c, f in zip(constants[row["op"]], FEATURES[row["op"]](row), strict=True))
            ratio = work / row["rate" if row["op"] == "inverse" else "gram_rate"] / row["seconds"]
            worst[row["op"]] = round(max(worst.get(row["op"], 1.0), ratio, 1 / ratio), 2)
    return worst


def main() -> None:
    """Every sweep on one thread and on all."""
    rows = []
    with Workers() as workers:
        for threads in sorted({1, machine()["threads"]}):
            for sweep, grows, case in sweeps(threads):
                found = workers("cost").call("bench.cost:one", **case)
                rows.append({"sweep": sweep, "grows": grows, **case, **found, "seconds": round(found["seconds"], 5)})
                print(sweep, case, rows[-1]["seconds"], flush=True)
    constants = shares(rows)
    told = {"shares": constants, "estimates_off_by": estimates_off_by(rows, constants)}
    save("cost", {"rows": rows, "exponents": exponents(rows), **told})
