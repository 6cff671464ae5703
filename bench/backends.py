"""EASE of other libraries beside fastlae in its place, by the same calls: a fit, and scores of 1,000 users."""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae

from .embeddings import interactions
from .harness import alternate, median, save

SHAPES = {"ml-1m": None, "synthetic": {"n_users": 60_000, "n_items": 10_000, "n_interactions": 3_000_000}}
USERS, RIDGE = 1_000, 300.0


def irspack_pair(X: Any) -> dict[str, Callable[[], Any]]:
    """Of irspack."""
    import irspack

    from fastlae.backends.irspack import DenseSLIMRecommender

    def call(cls: Any) -> Any:
        return cls(X, reg=RIDGE).learn().get_score_block(0, USERS)

    return {"irspack": lambda: call(irspack.DenseSLIMRecommender), "fastlae": lambda: call(DenseSLIMRecommender)}


def cornac_pair(X: Any) -> dict[str, Callable[[], Any]]:
    """Of cornac."""
    import cornac

    from fastlae.backends.cornac import EASE

    coo = sp.coo_matrix(X)
    users, items = (dict(zip(range(n), range(n), strict=True)) for n in X.shape)
    train = cornac.data.Dataset(X.shape[0], X.shape[1], users, items, (coo.row, coo.col, coo.data.astype(np.float64)))

    def call(cls: Any) -> Any:
        model = cls(lamb=RIDGE, posB=False, verbose=False).fit(train)
        return np.stack([np.ravel(model.score(u)) for u in range(USERS)])

    return {"cornac": lambda: call(cornac.models.EASE), "fastlae": lambda: call(EASE)}


def lenskit_pair(X: Any) -> dict[str, Callable[[], Any]]:
    """Of LensKit."""
    import pandas as pd
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.knn import EASEScorer as Theirs

    from fastlae.backends.lenskit import EASEScorer

    coo = sp.coo_matrix(X)
    data = from_interactions_df(pd.DataFrame({"user_id": coo.row, "item_id": coo.col}))
    asked = ItemList(np.arange(X.shape[1]))
    queries = [RecQuery(history_items=ItemList(X[u].indices)) for u in range(USERS)]

    def call(cls: Any) -> Any:
        scorer = cls(regularization=RIDGE)
        scorer.train(data)
        return np.stack([scorer(query, asked).scores() for query in queries])

    return {"lenskit": lambda: call(Theirs), "fastlae": lambda: call(EASEScorer)}


def recbole_pair(X: Any) -> dict[str, Callable[[], Any]]:
    """Of RecBole."""
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.interaction import Interaction
    from recbole.model.general_recommender import EASE as Theirs

    from fastlae.backends.recbole import EASE

    coo = sp.coo_matrix(X)
    with tempfile.TemporaryDirectory() as folder:
        lines = ["user_id:token\titem_id:token", *(f"{u}\t{i}" for u, i in zip(coo.row, coo.col, strict=True))]
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "data.inter").write_text("\n".join(lines))
        settings = {"data_path": folder, "load_col": {"inter": ["user_id", "item_id"]}, "reg_weight": RIDGE}
        config = Config(model=Theirs, dataset="data", config_dict={**settings, "use_gpu": False})
        dataset = create_dataset(config)
    users = Interaction({"user_id": torch.arange(1, USERS + 1)})

    def call(cls: Any) -> Any:
        return cls(config, dataset).full_sort_predict(users).numpy().ravel()

    return {"recbole": lambda: call(Theirs), "fastlae": lambda: call(EASE)}


def rectools_pair(X: Any) -> dict[str, Callable[[], Any]]:
    """Of RecTools, which gives lists, of 100 items: weights are compared."""
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.models import EASEModel as Theirs

    from fastlae.backends.rectools import EASEModel

    coo = sp.coo_matrix(X)
    frame = pd.DataFrame({"user_id": coo.row, "item_id": coo.col, "weight": 1.0, "datetime": "2020-01-01"})
    dataset = Dataset.construct(frame)

    def call(cls: Any) -> Any:
        model = cls(regularization=RIDGE).fit(dataset)
        model.recommend(np.arange(USERS), dataset, k=100, filter_viewed=True)
        return model.weight

    return {"rectools": lambda: call(Theirs), "fastlae": lambda: call(EASEModel)}


PAIRS = {"irspack": irspack_pair, "cornac": cornac_pair, "lenskit": lenskit_pair}
# These need NumPy 1: `make test-numpy1` makes an environment for them, build/venv-numpy1.
NUMPY1_PAIRS = {"recbole": recbole_pair, "rectools": rectools_pair}
if np.lib.NumpyVersion(np.__version__) < "2.0.0":
    PAIRS = NUMPY1_PAIRS


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=list(SHAPES))
    parser.add_argument("--libraries", nargs="*", default=list(PAIRS))
    parser.add_argument("--repeat", type=int, default=3)
    return parser


def main() -> None:
    """Scores are compared before anything is timed."""
    warnings.simplefilter("ignore")
    options = arguments().parse_args()
    sys.argv = sys.argv[:1]  # RecBole reads them
    rows = []
    for name in options.data:
        shape = SHAPES[name]
        X = interactions(name) if shape is None else fastlae.data.make_interactions(**shape, seed=0)
        X = sp.csr_matrix(X, dtype=np.float32)
        X = X[np.diff(X.indptr) > 0][:, np.diff(X.tocsc().indptr) > 0]
        for library in options.libraries:
            calls = PAIRS[library](X)
            found = [call() for call in calls.values()]
            difference = float(np.nanmax(np.abs(found[0] - found[1])) / np.nanmax(np.abs(found[0])))
            assert difference < 1e-3, difference
            del found
            took = {who: median(times) for who, times in alternate(calls, repeat=options.repeat).items()}
            rows.append({"data": name, "shape": X.shape, "library": library, "difference": difference, "seconds": took})
            print(rows[-1], flush=True)
    save("backends" if PAIRS is not NUMPY1_PAIRS else "backends_numpy1", {"users": USERS, "rows": rows})
