"""Gowalla: the figures of the DEQL paper's table from our kernels, in both forms, with time and peak memory."""

from __future__ import annotations

import time
from typing import Any

import scipy.sparse as sp

import fastlae
from fastlae.ops.weights import deql_scale

from .harness import data_folder, earlier, in_child, save

_DEQL: dict[str, Any] = {"l2": 60.0 * deql_scale(0.8, 1.0, 0.05), "dropout": 0.8, "b": 0.05}
# The hyperparameters of the paper's table, which were tuned on test there; ours with user weights come from the sweep.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "EDLAE": ("EDLAE", {"l2": 60.0, "dropout": 0.8}),
    "DLAE": ("DLAE", {"l2": 60.0, "dropout": 0.8}),
    "DEQL(L2)": ("DEQL", _DEQL),
}


def fit_and_evaluate(case: str, form: str) -> dict[str, Any]:
    """One model in one form."""
    folder = data_folder() / "gowalla"
    train, test = sp.load_npz(folder / "train.npz"), sp.load_npz(folder / "test.npz")
    name, params = CASES[case]
    start = time.perf_counter()
    model = getattr(fastlae, name)(form=form, **params).fit(train)
    fitted = time.perf_counter()
    result = fastlae.evaluation.evaluate(model, train, test)
    done = time.perf_counter()
    return {
        "model": case,
        "form": model.form_,
        "params": params,
        **{k: round(float(v), 4) for k, v in result.items()},
        "fit_seconds": round(fitted - start, 1),
        "evaluate_seconds": round(done - fitted, 1),
    }


# Which part of the sweep's table each variant may choose from.
VARIANTS: dict[str, Any] = {
    "plain": lambda row: row["user_power"] == 0 and row["popularity_power"] == 0,
    "user weights": lambda row: row["user_power"] > 0 and row["popularity_power"] == 0,
    "user weights, popularity scaling": lambda row: row["user_power"] > 0,
}


def sweep() -> dict[str, Any]:
    """The table of a sweep on a validation part cut from train."""
    train = sp.load_npz(data_folder() / "gowalla" / "train.npz")
    part, validation = fastlae.data.split_weak(train, 0.1, seed=0)
    start = time.perf_counter()
    found = fastlae.sweep(
        part,
        validation,
        models=["EDLAE", "DLAE", "DEQL"],
        ridge=[30.0, 60.0],
        dropout=[0.8],
        b=[0.05, 0.2],
        user_power=[0.0, 0.5],
        popularity_power=[-0.1, 0.0, 0.1],
        refit=False,
    )
    seconds = round(time.perf_counter() - start, 1)
    return {"sweep_seconds": seconds, "inverses": found.inverses, "table": found.table}


def refit(variant: str) -> dict[str, Any]:
    """The best point of a variant, fitted on all of train and measured once on test."""
    folder = data_folder() / "gowalla"
    train, test = sp.load_npz(folder / "train.npz"), sp.load_npz(folder / "test.npz")
    table = earlier("gowalla_sweep")["table"]
    best = next(row for row in table if VARIANTS[variant](row))
    params = {k: v for k, v in best.items() if k not in ("model", "ridge", "ndcg@20")}
    start = time.perf_counter()
    model = getattr(fastlae, best["model"])(**params).fit(train)
    fitted = time.perf_counter()
    result = fastlae.evaluation.evaluate(model, train, test)
    return {
        "variant": variant,
        "chosen": best,
        "form": model.form_,
        "test": {k: round(float(v), 4) for k, v in result.items()},
        "fit_seconds": round(fitted - start, 1),
        "evaluate_seconds": round(time.perf_counter() - fitted, 1),
    }


def main() -> None:
    """Everything in processes of their own, so that the peaks of memory are theirs."""
    rows = [in_child("bench.gowalla", "fit_and_evaluate", case, "users") for case in CASES]
    rows.append(in_child("bench.gowalla", "fit_and_evaluate", "EDLAE", "items"))
    save("gowalla", rows)
    save("gowalla_sweep", in_child("bench.gowalla", "sweep"))
    save("gowalla_chosen", [in_child("bench.gowalla", "refit", variant) for variant in VARIANTS])
