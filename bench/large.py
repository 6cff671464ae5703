"""What only half the memory or a long time allows: orders of 40,981 and 91,599, and the shape of Amazon-Book.

Takes most of an hour; `python -m bench large --case NAME` runs one of the cases only.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastlae
from fastlae.models.inverse import gram_matrix
from fastlae.ops.spd_inverse import invert_in_place

from .harness import earlier, in_child, save

AMAZON = {"n_users": 52_643, "n_items": 91_599, "n_interactions": 2_400_000}


def _interactions() -> Any:
    return fastlae.data.make_interactions(**AMAZON, seed=0)


def _matrix(n: int, storage: Any) -> Any:
    """A Gram matrix of order n with a ridge, of the kind that models invert."""
    X = fastlae.data.make_interactions(n_users=52_643, n_items=n, n_interactions=2_400_000, seed=0)
    G = gram_matrix(fastlae._sparse.as_csr(X), None, storage, np.float32, fastlae._threads.resolve_threads(0))
    if storage == "packed":
        G.add_to_diagonal(50.0)
    else:
        G.reshape(-1)[:: n + 1] += 50
    return G, X


def inverse(order: str, storage: str) -> dict[str, Any]:
    """A whole inverse, with the residual of a few columns."""
    n = int(order)
    start = time.perf_counter()
    G, X = _matrix(n, storage)
    made = time.perf_counter()
    invert_in_place(G, fastlae._threads.resolve_threads(0))
    done = time.perf_counter()
    picked = np.arange(0, n, n // 7)
    columns = (G.columns(picked) if storage == "packed" else G[:, picked]).astype(np.float64)
    residual = X.T @ (X @ columns) + 50 * columns
    residual[picked, np.arange(len(picked))] -= 1
    return {
        "n": n,
        "storage": storage,
        "gram_seconds": round(made - start, 1),
        "seconds": round(done - made, 1),
        "gflops": round(n**3 / (done - made) / 1e9, 1),
        "residual": float(np.abs(residual).max()),
    }


def first_steps(order: str, storage: str, seconds: str) -> dict[str, Any]:
    """The beginning of an inverse, for its memory: already the first of its n / 480 steps goes through all of it."""
    n = int(order)
    start = time.perf_counter()
    G, _ = _matrix(n, storage)
    made = time.perf_counter()
    _interrupted(float(seconds), lambda: invert_in_place(G, fastlae._threads.resolve_threads(0)))
    return {"n": n, "storage": storage, "gram_seconds": round(made - start, 1), "stopped_after": float(seconds)}


def _interrupted(seconds: float, call: Callable[[], Any]) -> None:
    """Call, and press Ctrl-C after so many seconds."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may have been told to ignore it
    threading.Timer(seconds, signal.raise_signal, (signal.SIGINT,)).start()
    try:
        call()
    except KeyboardInterrupt:
        return
    raise AssertionError("it was over before it was stopped")


def amazon(storage: str) -> dict[str, Any]:
    """EDLAE on the shape of Amazon-Book by the users form, and 20 recommendations for every user."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    X = _interactions()
    start = time.perf_counter()
    model = fastlae.EDLAE(l2=60, dropout=0.8, form="users", storage=storage).fit(X)
    fitted = time.perf_counter()
    items, _ = model.recommend(X, k=20)
    done = time.perf_counter()
    assert ((items >= 0).sum(axis=1) > 0).all()
    return {
        **AMAZON,
        "form": model.form_,
        "storage": model.storage_,
        "fit_seconds": round(fitted - start, 1),
        "recommend_seconds": round(done - fitted, 1),
    }


def amazon_start(storage: str, seconds: str) -> dict[str, Any]:
    """The beginning of that fit, for its memory."""
    model = fastlae.EDLAE(l2=60, dropout=0.8, form="users", storage=storage)
    X = _interactions()
    _interrupted(float(seconds), lambda: model.fit(X))
    return {**AMAZON, "form": "users", "storage": storage, "stopped_after": float(seconds)}


CASES: dict[str, tuple[str, ...]] = {
    "inverse_40981": ("inverse", "40981", "full"),
    "inverse_40981_packed": ("inverse", "40981", "packed"),
    "memory_91599_packed": ("first_steps", "91599", "packed", "30"),
    "amazon_packed": ("amazon", "packed"),
    "memory_amazon_full": ("amazon_start", "full", "30"),
}


def main() -> None:
    """Every case in a process of its own; cases that are not run keep their last result."""
    kept = earlier("large") or {}
    parser = argparse.ArgumentParser(prog="python -m bench large", description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES, action="append")
    for name in parser.parse_args().case or CASES:
        kept[name] = in_child("bench.large", *CASES[name])
        print(name, kept[name], flush=True)
        save("large", kept)
