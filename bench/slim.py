"""SLIM on MovieLens-1M beside scikit-learn's ElasticNet and irspack: the same problem, the same accuracy, seconds."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .harness import alternate, data_folder, median, save

L1, L2 = 10.0, 200.0
COLUMNS = 24  # of scikit-learn, which would take hours for all


def objective(G: Any, W: Any) -> Any:
    """½ wᵀGw - G_jᵀw + penalties, per column of a sparse W."""
    W = W.toarray().astype(np.float64)
    smooth = 0.5 * np.einsum("ij,ij->j", W, G @ W) - np.einsum("ij,ij->j", G, W)
    return smooth + 0.5 * L2 * (W**2).sum(axis=0) + L1 * abs(W).sum(axis=0)


def fastlae_weights(train: Any) -> Any:
    """All of W, the Gram matrix included."""
    return fastlae.SLIM(l1=L1, l2=L2).fit(train).weights_


def sklearn_columns(train: Any, columns: Any, tol: float) -> tuple[Any, float]:
    """Some columns of W, and seconds per column."""
    from sklearn.linear_model import ElasticNet

    m = train.shape[0]
    X = sp.csc_matrix(train, dtype=np.float64)
    net = ElasticNet(
        alpha=(L1 + L2) / m, l1_ratio=L1 / (L1 + L2), positive=True, fit_intercept=False, tol=tol, copy_X=False
    )
    found = []
    start = time.perf_counter()
    for j in columns:
        part = slice(X.indptr[j], X.indptr[j + 1])
        target, kept = np.asarray(X[:, [j]].todense()).ravel(), X.data[part].copy()
        X.data[part] = 0.0
        found.append(sp.csc_matrix(net.fit(X, target).coef_[:, None]))
        X.data[part] = kept
    return sp.hstack(found, format="csc"), (time.perf_counter() - start) / len(columns)


def irspack_weights(train: Any) -> Any:
    """All of W. irspack's objective is that of scikit-learn."""
    from irspack.recommenders.slim import SLIMRecommender

    m = train.shape[0]
    model = SLIMRecommender(
        sp.csr_matrix(train, dtype=np.float64),
        alpha=(L1 + L2) / m,
        l1_ratio=L1 / (L1 + L2),
        positive_only=True,
        n_iter=100,
        tol=1e-4,
        n_threads=2,
    )
    return model.learn().W


def main() -> None:
    """Check that all solve the same problem, then time them."""
    train = sp.load_npz(data_folder() / "ml-1m" / "train.npz").astype(np.float64)
    G = (train.T @ train).toarray()
    columns = np.linspace(0, train.shape[1] - 1, COLUMNS).astype(int)
    W = fastlae_weights(train)
    found, per_column = sklearn_columns(train, columns, 1e-4)
    ours = objective(G, W)
    theirs = 0.5 * np.einsum("ij,ij->j", found.toarray(), G @ found.toarray()) - np.einsum(
        "ij,ij->j", G[:, columns], found.toarray()
    )
    theirs = theirs + 0.5 * L2 * (found.toarray() ** 2).sum(axis=0) + L1 * abs(found.toarray()).sum(axis=0)
    scale = abs(theirs).clip(1e-9)
    results: dict[str, Any] = {
        "l1": L1,
        "l2": L2,
        "nnz": int(W.nnz),
        "sklearn_objective_excess": float(((theirs - ours[columns]) / scale).max()),
        "fastlae_objective_excess": float(((ours[columns] - theirs) / scale).max()),
        "sklearn_seconds_per_column": per_column,
        "sklearn_seconds": per_column * train.shape[1],
        "sklearn_columns": COLUMNS,
    }
    contenders: dict[str, Any] = {"fastlae": lambda: fastlae_weights(train)}
    if importlib.util.find_spec("irspack"):
        irspack = objective(G, irspack_weights(train))
        results["irspack_objective_excess"] = float(((irspack - ours) / abs(irspack).clip(1e-9)).max())
        contenders["irspack"] = lambda: irspack_weights(train)
    times = alternate(contenders, repeat=3 if len(contenders) == 1 else 2)
    results |= {f"{name}_seconds": median(seconds) for name, seconds in times.items()}
    save("slim", results)
