"""Low-rank and nuclear-norm models: accuracy, accuracy against rank, the order of weights, time beside a dense SVD.

`python -m bench lowrank` does all parts, `python -m bench lowrank --part ml1m --part solver` some of them. Each
part writes its own file.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae
from fastlae.evaluation import evaluate
from fastlae.ops.spectral import shrinkage_from_tikhonov

from .harness import Worker, data_folder, earlier, save

SEEDS = (0, 1, 2)
K = 400  # largest rank of the spectral models
LARGE = 1000  # singular vectors on Gowalla
PATH = 1500  # singular vectors of the path: the rank of some models follows from their shrinkage
RIDGES = [(200.0, 0.3), (400.0, 0.3), (400.0, 0.5), (800.0, 0.5)]  # (l2, dropout) of the projection family
PROJECTED = 200  # rank at which the projection family is tuned
RANKS = [25, 50, 100, 200, 400, 800, 1600, 3043]


def load(name: str) -> tuple[Any, Any]:
    """Train and test."""
    folder = data_folder() / name
    return sp.load_npz(folder / "train.npz"), sp.load_npz(folder / "test.npz")


def ndcg(model: Any, train: Any, targets: Any) -> float:
    """NDCG@20 of unseen items."""
    return float(evaluate(model, train, targets, metrics=["ndcg"], k=20)["ndcg@20"])


def spectral_grid(k: int = K) -> Iterator[tuple[str, Any]]:
    """Unfitted models of the spectral family. Shrinkages are on the scale of σ, ridges on that of σ²."""
    for rank in [r for r in (50, 100, 200, 400) if r <= k]:
        for l2 in (0.0, 1000.0, 3000.0, 10000.0):
            yield "LRR", fastlae.LRR(k=rank, l2=l2)
    for l2 in (3.0, 10.0, 20.0, 40.0):
        yield "RegularizedPCA", fastlae.RegularizedPCA(k=k, l2=l2)
    for c in (300.0, 1000.0, 2000.0, 4000.0):
        yield "VLAE", fastlae.VLAE(k=k, c=c)
        yield "WLAE", fastlae.WLAE(weights=np.full(k, c))
    for keep in (0.97, 0.98, 0.99, 0.995):
        yield "MFDropout", fastlae.MFDropout(keep=keep)
    for l2 in (0.3, 1.0, 3.0, 10.0):
        yield "NuclearPower", fastlae.NuclearPower(l2=l2, p=1.5)


def described(model: Any) -> dict[str, Any]:
    """Hyperparameters that are not at their defaults, vectors by their first number."""
    defaults = {"l2": None, "weights": None}
    found = {}
    for name, value in model.get_params().items():
        if name in ("num_threads", "dtype", "tol", "form", "storage", "user_power", "popularity_power", "seed"):
            continue
        if value is None or (name in defaults and value is defaults[name]):
            continue
        found[name] = float(np.asarray(value)[0]) if np.ndim(value) else value
    return found


Candidate = tuple[str, Any, Callable[[Any], Any]]


def candidates(train: Any) -> Iterator[Candidate]:
    """Every point of the grid: family name, unfitted model, and how it is fitted on `train`."""
    path = fastlae.SpectralPath(k=PATH).fit(train)
    for name, model in spectral_grid():
        yield name, model, lambda m: path.model(m)
    for l2, dropout in RIDGES:
        options = {"k": PROJECTED, "l2": l2, "dropout": dropout}
        yield "LRDLAE", fastlae.LRDLAE(**options), lambda m: m.fit(train)
        for method in (1, 2):
            name = f"LREDLAE, method {method}"
            yield name, fastlae.LREDLAE(method=method, **options), lambda m: m.fit(train)
        if dropout == 0.5 or l2 == 400.0:
            als = fastlae.LowRankEDLAE(rtol=1e-3, **options)
            yield "LowRankEDLAE, als", als, lambda m: m.fit(train)
            admm = fastlae.LowRankEDLAE(solver="admm", **options)
            yield "LowRankEDLAE, admm", admm, lambda m: m.fit(train)
        yield "DLAE", fastlae.DLAE(l2=l2, dropout=dropout), lambda m: m.fit(train)
        yield "EDLAE", fastlae.EDLAE(l2=l2, dropout=dropout), lambda m: m.fit(train)
    for l2 in (100.0, 200.0, 400.0, 800.0):
        yield "EASE", fastlae.EASE(l2=l2), lambda m: m.fit(train)
        for l1 in (1.0, 3.0, 10.0):
            yield "SLIM", fastlae.SLIM(l1=l1, l2=l2), lambda m: m.fit(train)


def ml1m() -> None:
    """Each model tuned on a validation part cut from train, then measured once on test; several cuts."""
    train, test = load("ml-1m")
    only = arguments().model
    found = (earlier("lowrank_ml1m") or {"rows": []})["rows"] if only else []
    rows: list[dict[str, Any]] = [row for row in found if row["model"] not in only]
    for seed in SEEDS:
        start = time.perf_counter()
        part, validation = fastlae.data.split_weak(train, 0.1, seed=seed)
        best: dict[str, tuple[float, Any]] = {}
        points: dict[str, int] = {}
        skipped: dict[str, int] = {}
        for name, model, fit in candidates(part):
            if only and name not in only:
                continue
            points[name] = points.get(name, 0) + 1
            try:
                value = ndcg(fit(model), part, validation)
            except ValueError as error:  # a rank beyond the path's
                if "needs more singular vectors" not in str(error):
                    raise
                skipped[name] = skipped.get(name, 0) + 1
                continue
            if name not in best or value > best[name][0]:
                best[name] = value, model
        path = fastlae.SpectralPath(k=PATH).fit(train)
        for name, (value, model) in best.items():
            chosen = described(model)
            fresh = type(model)(**model.get_params())
            spectral = hasattr(model, "singular_values_")
            fitted = path.model(fresh) if spectral else fresh.fit(train)
            result = {k: round(float(v), 4) for k, v in evaluate(fitted, train, test).items()}
            rank = getattr(fitted, "rank_", None)
            row = {"model": name, "seed": seed, "chosen": chosen, "rank": rank, "points": points[name]}
            rows.append({**row, "skipped": skipped.get(name, 0), "validation": round(value, 4), "test": result})
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        save("lowrank_ml1m", {"k": K, "rows": rows})


def cut(model: Any, k: int) -> Any:
    """A fitted model of the projection family at a lower rank: its projectors are nested."""
    lower = type(model)(**{**model.get_params(), "k": k})
    lower._learned(model.left_[:, :k], model.right_[:, :k], model.item_counts_)
    return lower


def ranks() -> None:
    """NDCG@20 on test against the rank, at fixed hyperparameters (those that most seeds of `ml1m` chose)."""
    train, test = load("ml-1m")
    n = train.shape[1]
    rows = []
    for name, cls, extra in (
        ("LRDLAE", fastlae.LRDLAE, {"l2": 400.0, "dropout": 0.5}),
        ("LREDLAE, method 1", fastlae.LREDLAE, {"l2": 400.0, "dropout": 0.5, "method": 1}),
        ("LREDLAE, method 2", fastlae.LREDLAE, {"l2": 400.0, "dropout": 0.5, "method": 2}),
    ):
        whole = cls(k=n, **extra).fit(train)
        for k in RANKS:
            rows.append({"model": name, "k": k, **extra, "ndcg@20": round(ndcg(cut(whole, k), train, test), 4)})
        save("lowrank_ranks", {"rows": rows})
    path = fastlae.SpectralPath(k=n).fit(train)
    grids: dict[str, Callable[[int], Any]] = {
        "LRR": lambda k: fastlae.LRR(k=k, l2=1000.0),
        "RegularizedPCA": lambda k: fastlae.RegularizedPCA(k=k, l2=10.0),
        "VLAE": lambda k: fastlae.VLAE(k=k, c=300.0),
    }
    for name, make in grids.items():
        for k in RANKS:
            rows.append({"model": name, "k": k, "ndcg@20": round(ndcg(path.model(make(k)), train, test), 4)})
        save("lowrank_ranks", {"rows": rows})
    for k in (25, 50, 100, 200, 400):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastlae.ConvergenceWarning)
            model = fastlae.LowRankEDLAE(k=k, l2=400.0, dropout=0.5, rtol=1e-3).fit(train)
        rows.append({"model": "LowRankEDLAE, als", "k": k, "ndcg@20": round(ndcg(model, train, test), 4)})
        save("lowrank_ranks", {"rows": rows})


def tuned_weights(path: Any, part: Any, validation: Any, k: int, groups: int = 16) -> Any:
    """λ_i of LRR by coordinate search over groups of neighbouring components, on validation users."""
    edges = np.unique(np.geomspace(1, k + 1, groups + 1).astype(int)) - 1
    weights = np.full(k, 1000.0)
    best = ndcg(path.model(fastlae.LRR(k=k, weights=weights)), part, validation)
    for factor in (8.0, 2.0, 2.0):
        for first, last in itertools.pairwise(edges):
            for times in (factor, 1 / factor):
                trial = weights.copy()
                trial[first:last] *= times
                value = ndcg(path.model(fastlae.LRR(k=k, weights=trial)), part, validation)
                if value > best:
                    best, weights = value, trial
    return weights


def ordering() -> None:
    """Table 3 of the paper: LRR's tuned weights, against their own shrinkages sorted as the nuclear norm demands."""
    train, test = load("ml-1m")
    rows = []
    whole = fastlae.SpectralPath(k=K).fit(train)
    for seed in SEEDS:
        part, validation = fastlae.data.split_weak(train, 0.1, seed=seed)
        path = fastlae.SpectralPath(k=K).fit(part)
        weights = tuned_weights(path, part, validation, K)
        shrinkages = shrinkage_from_tikhonov(whole.singular_values_, weights)
        for name, model in (
            ("LRR, one λ", fastlae.LRR(k=K, l2=1000.0)),
            ("LRR, tuned λ_i", fastlae.LRR(k=K, weights=weights)),
            ("the same shrinkages ω_i, sorted (VLAE)", fastlae.VLAE(weights=shrinkages)),
        ):
            result = {k: round(float(v), 4) for k, v in evaluate(whole.model(model), train, test).items()}
            rows.append({"model": name, "seed": seed, "test": result})
        save("lowrank_ordering", {"k": K, "rows": rows})


def large_grid() -> Iterator[tuple[str, Any]]:
    """Unfitted models of the spectral family for a catalogue of some 30,000 items."""
    k = LARGE
    for rank, l2 in itertools.product((250, 500, k), (100.0, 300.0, 1000.0)):
        yield "LRR", fastlae.LRR(k=rank, l2=l2)
    for l2 in (5.0, 10.0, 20.0):
        yield "RegularizedPCA", fastlae.RegularizedPCA(k=k, l2=l2)
    for c in (150.0, 300.0, 600.0):
        yield "VLAE", fastlae.VLAE(k=k, c=c)
    for weight in (50.0, 100.0, 200.0):
        yield "WLAE", fastlae.WLAE(weights=np.full(k, weight))
    for keep in (0.99, 0.995, 0.997):
        yield "MFDropout", fastlae.MFDropout(keep=keep)
    for l2 in (0.3, 0.6, 1.2):
        yield "NuclearPower", fastlae.NuclearPower(l2=l2, p=1.5)


def gowalla() -> None:
    """Gowalla: the spectral family tuned on one path; the others, an inverse each, at given hyperparameters."""
    train, test = load("gowalla")
    rows = []

    def add(name: str, model: Any, points: int = 1) -> None:
        result = {k: round(float(v), 4) for k, v in evaluate(model, train, test).items()}
        found = {"model": name, "chosen": described(model), "rank": getattr(model, "rank_", None), "test": result}
        rows.append({**found, "points": points, "residual": getattr(model, "residual_", None)})
        save("lowrank_gowalla", {"rows": rows})

    part, validation = fastlae.data.split_weak(train, 0.1, seed=0)
    path = fastlae.SpectralPath(k=LARGE, tol=1e-3).fit(part)
    best: dict[str, tuple[float, Any]] = {}
    points: dict[str, int] = {}
    for name, model in large_grid():
        points[name] = points.get(name, 0) + 1
        try:
            value = ndcg(path.model(model), part, validation)
        except ValueError as error:  # a rank beyond the path's
            if "needs more singular vectors" not in str(error):
                raise
            continue
        print(name, described(model), round(value, 4), flush=True)
        if name not in best or value > best[name][0]:
            best[name] = value, model
    path = fastlae.SpectralPath(k=LARGE, tol=1e-3).fit(train)
    for name, (_, model) in best.items():
        add(name, path.model(type(model)(**model.get_params())), points[name])
    del path, best
    common = {"l2": 60.0, "dropout": 0.8}
    for name, make in (
        ("SLIM", lambda: fastlae.SLIM(l1=2.0, l2=10.0)),
        ("LRDLAE", lambda: fastlae.LRDLAE(k=500, tol=1e-3, **common)),
        ("LREDLAE, method 1", lambda: fastlae.LREDLAE(k=500, tol=1e-3, method=1, **common)),
        ("LREDLAE, method 2", lambda: fastlae.LREDLAE(k=500, tol=1e-3, method=2, **common)),
        ("LowRankEDLAE, als", lambda: fastlae.LowRankEDLAE(k=500, tol=1e-3, rtol=1e-2, **common)),
        ("DLAE", lambda: fastlae.DLAE(**common)),
        ("EDLAE", lambda: fastlae.EDLAE(**common)),
        ("EASE", lambda: fastlae.EASE(l2=200.0)),
    ):
        add(name, make().fit(train))


def decomposition(name: str, k: int, way: str) -> dict[str, Any]:
    """Seconds of one way to the leading singular vectors, and how accurate they are."""
    train = load(name)[0].astype(np.float64)
    start = time.perf_counter()
    if way == "fastlae":
        path = fastlae.SpectralPath(k=k).fit(train)
        sigma, V = path.singular_values_, path.components_
    elif way == "dense SVD":
        sigma, Vt = np.linalg.svd(train.toarray(), full_matrices=False)[1:]
        sigma, V = sigma[:k], Vt[:k].T
    else:
        import scipy.sparse.linalg

        options = {"solver": "arpack"} if way == "ARPACK" else {"solver": "lobpcg", "maxiter": 60}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # LOBPCG tells when it gave up; the residual here tells too
            _, sigma, Vt = scipy.sparse.linalg.svds(train, k=k, tol=1e-4, **options)
        sigma, V = sigma[::-1], Vt[::-1].T
    seconds = time.perf_counter() - start
    misses = np.linalg.norm(train.T @ (train @ V) - V * sigma**2, axis=0) / sigma**2
    return {"data": name, "k": k, "way": way, "seconds": round(seconds, 2), "residual": float(misses.max())}


def solver() -> None:
    """Time and memory beside a dense SVD, ARPACK and LOBPCG."""
    rows = []
    for name, k, ways in (
        ("ml-1m", 100, ("fastlae", "ARPACK", "LOBPCG", "dense SVD")),
        ("ml-1m", 400, ("fastlae", "ARPACK", "dense SVD")),
        ("gowalla", 200, ("fastlae", "ARPACK", "LOBPCG")),
        ("gowalla", 500, ("fastlae", "ARPACK")),
        ("gowalla", 1000, ("fastlae",)),
    ):
        for way in ways:
            with Worker() as worker:
                row = worker.call("bench.lowrank:decomposition", name, k, way)
            rows.append({**row, "peak_gb": round(row["peak_gb"], 2)})
            save("lowrank_solver", {"rows": rows})


PARTS = {"ml1m": ml1m, "ranks": ranks, "ordering": ordering, "gowalla": gowalla, "solver": solver}


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=[*PARTS], help="only this part; may be repeated")
    parser.add_argument("--model", action="append", help="of ml1m: only this row, beside those measured before")
    return parser.parse_args(sys.argv[1:])


def main() -> None:
    """The parts that were asked for, or all."""
    for name in arguments().part or PARTS:
        PARTS[name]()
