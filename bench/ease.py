"""Whole fits: fastlae.EASE beside the published formula in NumPy and other libraries, DEQL beside the paper's loop."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .harness import Workers, alternate, data_folder, save, timed

L2 = 500.0
ML20M = {"n_users": 136_677, "n_items": 20_108, "n_interactions": 10_000_000}
LOOP_SIZES = (500, 1000, 2000)  # the paper's loop reads the inverse twice for every item
ROUNDS = 3
SECONDS = 10.0  # spent on one contender, but for the last call


def fit_fastlae(X: Any, dtype: str = "float32") -> Any:
    """The estimator, items form."""
    import fastlae

    return fastlae.EASE(l2=L2, dtype=dtype, form="items").fit(X).weights_


def fit_formula(X: Any) -> Any:
    """Steck 2019, section 3.1: P = (X^T X + l2 I)^-1, B_ij = -P_ij / P_jj, and a zero diagonal; in double precision."""
    G = (X.T @ X).toarray()
    diagonal = np.diag_indices(len(G))
    G[diagonal] += L2
    P = np.linalg.inv(G)
    B = P / -np.diag(P)
    B[diagonal] = 0
    return B


def fit_irspack(X: Any) -> Any:
    """Its float32 and scipy.linalg.inv."""
    from irspack import DenseSLIMRecommender

    return np.asarray(DenseSLIMRecommender(X, reg=L2).learn().W)


def fit_rectools(X: Any) -> Any:
    """The model's own fit on a stand-in for its data set, so that no conversion is timed."""
    from rectools.models import EASEModel

    model = EASEModel(regularization=L2)
    model._fit(types.SimpleNamespace(get_user_item_matrix=lambda **_: X))
    return model.weight


def fit_recbole(X: Any) -> Any:
    """Its constructor fits; a stand-in for its data set again."""
    from recbole.model.general_recommender import EASE

    class Config(dict):  # type: ignore[type-arg]
        device = "cpu"

        def __missing__(self, key: str) -> str:
            return key

    dataset = types.SimpleNamespace(inter_matrix=lambda form: X, num=lambda field: X.shape[field == "ITEM_ID_FIELD"])
    return np.asarray(EASE(Config(reg_weight=L2, device="cpu"), dataset).item_similarity)


FITS: dict[str, Callable[[Any], Any]] = {
    "fastlae, float32": fit_fastlae,
    "fastlae, float64": lambda X: fit_fastlae(X, "float64"),
    "formula in NumPy, float64": fit_formula,
    "irspack": fit_irspack,
    "RecTools": fit_rectools,
    "RecBole": fit_recbole,
}


def one(contender: str, path: str, rows: str) -> dict[str, Any]:
    """In a worker: one timed fit; some rows of the weights go to a file, for comparison."""
    X = sp.load_npz(path).astype(np.float64 if "float64" in contender else np.float32)
    B, measured = timed(lambda: FITS[contender](X))
    np.save(rows, np.array(B[:64], np.float64))
    return measured


def data(options: argparse.Namespace) -> dict[str, Any]:
    """ml-1m if it is here, and the shape of MovieLens-20M with its most popular items, or with all."""
    import fastlae

    found: dict[str, Any] = {}
    try:
        found["MovieLens-1M"] = sp.load_npz(data_folder() / "ml-1m" / "train.npz")
    except (SystemExit, OSError) as missing:
        print(f"MovieLens-1M left out: {missing}")
    X = fastlae.data.make_interactions(**ML20M, seed=0)
    popular = np.argsort(-np.bincount(X.indices, minlength=X.shape[1]), kind="stable")
    for n in options.items:
        part = X if n >= X.shape[1] else X[:, np.sort(popular[:n])]
        found[f"MovieLens-20M's shape, {part.shape[1]:,} most popular items"] = part
    return found


def measure(name: str, X: Any, workers: Workers, folder: Path) -> list[dict[str, Any]]:
    """All that can be imported, in turns; the weights must agree with the formula's before anything is reported."""
    path = folder / "X.npz"
    sp.save_npz(path, sp.csr_matrix(X), compressed=False)
    times: dict[str, list[float]] = {}
    added: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for round_ in range(ROUNDS):
        for contender in FITS:
            if contender in left_out or sum(times.get(contender, [])) > SECONDS:
                continue
            file = folder / f"{contender}.npy"
            try:
                found = workers(contender).call("bench.ease:one", contender, str(path), str(file))
            except RuntimeError as error:
                if "ModuleNotFoundError" not in str(error):
                    raise
                left_out[contender] = str(error)
                print(f"{contender} left out: {error}")
                continue
            if round_ == 0:
                added[contender] = found["added_gb"]
            times.setdefault(contender, []).append(found["seconds"])
    expected = np.load(folder / "formula in NumPy, float64.npy")
    rows = []
    for contender, seconds in times.items():
        difference = float(np.abs(np.load(folder / f"{contender}.npy") - expected).max() / np.abs(expected).max())
        assert difference < 1e-3, (contender, difference)
        rows.append(
            {"data": name, "users": X.shape[0], "items": X.shape[1], "nnz": int(X.nnz), "contender": contender}
            | {"seconds": round(statistics.median(seconds), 3), "calls": len(seconds)}
            | {"added_gb": round(added[contender], 2), "difference": float(f"{difference:.0e}")}
        )
        print(rows[-1], flush=True)
    return rows


def paper_loop(
    H0_inv: np.ndarray[Any, Any], G: np.ndarray[Any, Any], p: float, a: float, b: float
) -> np.ndarray[Any, Any]:
    """The DEQL paper's update (20) to (23), item by item, as its equations read."""
    q = 1 - p
    W = np.empty_like(G)
    change = -p * (a * a - b * b)
    for i in range(len(G)):
        g = G[:, i]
        v, e1, e2 = (p * q * a * a + q * q * b * b) * g, q * q * change * g, q * q * change * g
        v[i], e1[i], e2[i] = q * b * b * g[i], q * change * g[i], 0
        r, w = H0_inv @ v, H0_inv @ e1
        s = r - r[i] / (1 + w[i]) * w
        t = H0_inv[:, i] - H0_inv[i, i] / (1 + w[i]) * w
        W[:, i] = s - (e2 @ s) / (1 + e2 @ t) * t
    return W


def deql(n: int) -> dict[str, Any]:
    """In a worker: weights of DEQL from one inverse, by the paper's loop and both of our ways, in float64."""
    import fastlae
    from fastlae.ops.weights import deql_scale

    p, a, b, l2 = 0.5, 1.0, 0.25, 20.0
    q = 1 - p
    X = fastlae.data.make_interactions(n_users=4 * n, n_items=n, n_interactions=80 * n, seed=0)
    G = fastlae.ops.gram(X, dtype=np.float64)
    d = G.diagonal().copy()
    C = fastlae.ops.spd_inverse(G + np.diag(p / q * d + l2 / deql_scale(p, a, b)))
    H0_inv = C / deql_scale(p, a, b)
    off = ~np.eye(n, dtype=bool)
    E2 = np.where(off, -q * q * p * (a * a - b * b), 0) * G
    E1 = np.where(off, E2, -q * p * (a * a - b * b) * G)
    V = np.where(off, p * q * a * a + q * q * b * b, q * b * b) * G
    contenders = {
        "the paper's loop": lambda: paper_loop(H0_inv, G, p, a, b),
        "ops.miller_update": lambda: fastlae.ops.miller_update(H0_inv, V, E1, E2),
        "ops.deql_weights": lambda: fastlae.ops.deql_weights(C, d, l2=l2, dropout=p, a=a, b=b),
    }
    results = {name: call() for name, call in contenders.items()}
    expected = results["the paper's loop"]
    differences = {name: float(np.abs(W - expected).max() / np.abs(expected).max()) for name, W in results.items()}
    assert max(differences.values()) < 1e-9, differences
    times = alternate(contenders, repeat=3 if n <= 1000 else 1)
    return {
        "n": n,
        "difference": float(f"{max(differences.values()):.0e}"),
        "seconds": {name: round(statistics.median(seconds), 6) for name, seconds in times.items()},
    }


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="*", default=[8000], help="20108: all items, many minutes, 16 GB")
    parser.add_argument(
        "--old-numpy", metavar="PYTHON", help="interpreter of an environment with RecTools and RecBole, NumPy < 2"
    )
    return parser


def main() -> None:
    """EASE on every data set, then DEQL's weights."""
    options = arguments().parse_args()
    python = dict.fromkeys(("RecTools", "RecBole"), options.old_numpy) if options.old_numpy else {}
    rows = []
    with tempfile.TemporaryDirectory() as folder, Workers(**python) as workers:
        for name, X in data(options).items():
            rows += measure(name, X, workers, Path(folder))
    with Workers() as workers:
        loops = [workers("deql").call("bench.ease:deql", n) for n in LOOP_SIZES]
    save("ease", {"l2": L2, "rows": rows, "deql": loops})
