"""WMF beside implicit's and irspack's iALS: seconds per sweep, and quality after each, at the same hyperparameters."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import fastlae

from .embeddings import interactions, quality
from .harness import median, save

SWEEPS = 8
SHAPES = {"ml-1m": None, "synthetic": {"n_users": 60_000, "n_items": 20_000, "n_interactions": 4_000_000}}


def contenders(X: Any, dim: int, alpha: float, l2: float, threads: int) -> dict[str, Callable[[int], Any]]:
    """Calls that train for so many sweeps and give the item embeddings. All minimise the same loss.

    implicit's alpha is c itself and ours is c - 1. irspack weighs what is missing by alpha0, and what is there by
    1 + alpha0: its loss is ours over alpha with alpha0 = 1 / alpha.
    """
    calls: dict[str, Callable[[int], Any]] = {}
    for solver in ("cg", "cholesky"):

        def ours(sweeps: int, solver: str = solver) -> Any:
            model = fastlae.WMF(dim=dim, alpha=alpha, l2=l2, solver=solver, steps=sweeps, num_threads=threads)
            return model.fit(X).item_embeddings_

        calls[f"fastlae, {solver}"] = ours
    try:
        als = importlib.import_module("implicit.als")

        for use_cg in (True, False):

            def implicit(sweeps: int, use_cg: bool = use_cg) -> Any:
                model = als.AlternatingLeastSquares(
                    factors=dim, regularization=l2, alpha=1 + alpha, iterations=sweeps, use_cg=use_cg,
                    num_threads=threads, random_state=0, use_native=True, use_gpu=False,
                )  # fmt: skip
                with threadpool_limits(1, "blas"):  # as implicit asks for: its threads call BLAS each
                    model.fit(X, show_progress=False)
                return np.asarray(model.item_factors)

            calls[f"implicit, {'cg' if use_cg else 'cholesky'}"] = implicit
    except ImportError:
        pass
    try:
        irspack = importlib.import_module("irspack")

        for solver in ("CG", "CHOLESKY", "IALSPP"):

            def theirs(sweeps: int, solver: str = solver) -> Any:
                model = irspack.IALSRecommender(
                    X, n_components=dim, alpha0=1 / alpha, reg=l2 / alpha, nu=0.0, train_epochs=sweeps,
                    n_threads=threads, solver_type=solver, max_cg_steps=3, loss_type="ORIGINAL",
                )  # fmt: skip
                model.learn()
                return np.asarray(model.get_item_embedding())

            calls[f"irspack, {solver.lower()}"] = theirs
    except ImportError:
        pass
    return calls


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dims", nargs="*", type=int, default=[64, 128])
    parser.add_argument("--data", nargs="*", default=list(SHAPES))
    parser.add_argument("--repeat", type=int, default=3)
    return parser


def main() -> None:
    """Every contender in turns: one sweep and several, whose difference is the sweeps without what is done once."""
    from fastlae._threads import available_threads

    options = arguments().parse_args()
    threads = available_threads()[0]
    rows = []
    for name in options.data:
        shape = SHAPES[name]
        if shape is None:
            split = fastlae.data.split_strong(interactions(name), seed=0)
            X = split.train
        else:
            split, X = None, fastlae.data.make_interactions(**shape, seed=0).astype(np.float32)
        for dim in options.dims:
            calls = contenders(X, dim, 10.0, 20.0, threads)
            times: dict[str, list[float]] = {contender: [] for contender in calls}
            for _ in range(options.repeat):
                for contender, call in calls.items():
                    spent = []
                    for sweeps in (1, 4):
                        time.sleep(0.2)
                        start = time.perf_counter()
                        call(sweeps)
                        spent.append(time.perf_counter() - start)
                    times[contender].append((spent[1] - spent[0]) / 3)
            for contender, call in calls.items():
                row = {"data": name, "dim": dim, "contender": contender, "sweep": median(times[contender])}
                if split is not None:  # everybody's items under our fold-in: the difference is the items' alone
                    judge = fastlae.WMF(dim=dim, alpha=10.0, l2=20.0, steps=1).fit(X)
                    judge.item_embeddings_ = np.ascontiguousarray(call(SWEEPS)[: X.shape[1]], dtype=np.float32)
                    row |= quality(judge, split.test_fold_in, split.test_targets)
                rows.append(row)
                print(row, flush=True)
    save("wmf", {"shapes": SHAPES, "threads": threads, "sweeps": SWEEPS, "rows": rows})
