"""What embeddings know beside recommending: genres of the nearest neighbour, and NDCG by popularity.

Share of the items whose nearest neighbour has a genre in common (MovieLens-100k and ml-latest-small, all ratings of 4
and more; appendix D.3 of the ImplicitSLIM paper), and NDCG@100 of popular, less popular and rare items apart (its
Table 6; MovieLens-1M, the models of `bench embeddings` with the points chosen there).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae
from fastlae.evaluation import ndcg_by_popularity, nearest_neighbor_score

from .embeddings import METHODS, SEEDS, STEPS, interactions
from .harness import data_folder, earlier, save

DIMS = (10, 100)
GROUPS_DIM = 256


def with_genres(name: str) -> tuple[Any, list[list[str]]]:
    """Interactions by id, and the genres of every item."""
    folder = data_folder() / name
    if name == "ml-100k":
        known = fastlae.Interactions.read(
            folder / "ml-100k.inter",
            user="user_id:token",
            item="item_id:token",
            rating="rating:float",
            delimiter="\t",
            min_rating=4,
        )
        with (folder / "ml-100k.item").open() as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            genres = {int(row["item_id:token"]): (row["class:token_seq"] or "").split() for row in reader}
    else:
        known = fastlae.Interactions.read(folder / "ratings.csv", min_rating=4)
        with (folder / "movies.csv").open() as file:
            genres = {int(row["movieId"]): row["genres"].split("|") for row in csv.DictReader(file)}
    none = {"unknown", "(no genres listed)", ""}
    return known, [[g for g in genres.get(int(item), []) if g not in none] for item in known.item_ids]


def embeddings_of(X: Any, dim: int, seed: int) -> dict[str, Callable[[], Any]]:
    """Ways to embeddings of the items, hyperparameters fixed beforehand."""
    noise = np.random.default_rng(seed).standard_normal((X.shape[1], dim)).astype(np.float32)

    def implicit_slim() -> Any:
        E = noise
        for _ in range(5):
            E = fastlae.ops.implicit_slim(E, X, l2=50.0, alpha=1.0)
        return E

    def svd() -> Any:
        path = fastlae.SpectralPath(k=dim).fit(X)
        return path.components_ * np.sqrt(path.singular_values_)

    def mf(**options: Any) -> Any:
        return fastlae.MF(dim=dim, l2_user=5.0, l2_item=5.0, steps=10, seed=seed, **options).fit(X).item_embeddings_

    return {
        "Gaussian noise": lambda: noise,
        "SVD": svd,
        "SLIM-LLE": lambda: fastlae.ops.slim_lle(X, l2=50.0, dim=dim),
        "ImplicitSLIM": implicit_slim,
        "MF": mf,
        "MF + ImplicitSLIM": lambda: mf(implicit_slim="init+reg", slim_l2=50.0, slim_alpha=1.0, slim_weight=5.0),
    }


def genres() -> list[dict[str, Any]]:
    """The 1-NN score of every way, dimension and seed."""
    rows = []
    for name in ("ml-100k", "ml-latest-small"):
        known, classes = with_genres(name)
        X = sp.csr_matrix(known.matrix, dtype=np.float32)
        X.data[:] = 1
        for dim in DIMS:
            for seed in SEEDS:
                for way, make in embeddings_of(X, dim, seed).items():
                    found = nearest_neighbor_score(np.ascontiguousarray(make()), classes)
                    row = {"data": name, "way": way, "dim": dim, "seed": seed, "items": found.n_items}
                    rows.append(row | {"euclidean": round(found.euclidean, 4), "cosine": round(found.cosine, 4)})
        print(name, rows[-1], flush=True)
    return rows


def popularity() -> list[dict[str, Any]]:
    """NDCG@100 of three groups of items, of the models that `bench embeddings` chose."""
    study = (earlier("embeddings") or {})["data"]["ml-1m"]
    chosen = {row["method"]: row["chosen"] for row in study["rows"] if row["dim"] == GROUPS_DIM}
    X = interactions("ml-1m")
    rows = []
    for seed in SEEDS:
        split = fastlae.data.split_strong(X, seed=seed)
        models: dict[str, Any] = {"EASE": fastlae.EASE(l2=study["ease"]["l2"]).fit(split.train)}
        for method, point in chosen.items():
            model = fastlae.MF(dim=GROUPS_DIM, steps=STEPS, **METHODS[method], **point)
            models[method] = model.fit(split.train, validation=(split.validation_fold_in, split.validation_targets))
        for name, model in models.items():
            top = model.recommend(split.test_fold_in, k=100)[0]
            found = ndcg_by_popularity(top, split.test_targets, split.train, k=100)
            rows.append({"model": name, "seed": seed, "ndcg@100": [round(float(m), 4) for m in found]})
    return rows


def main() -> None:
    """Both parts."""
    save("embedding_scores", {"genres": genres(), "popularity": popularity(), "dim": GROUPS_DIM})
