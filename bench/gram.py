"""ops.gram beside SciPy on the shape of MovieLens-20M (generated, long-tailed)."""

from __future__ import annotations

import numpy as np

import fastlae

from .harness import alternate, median, save

SHAPE = {"n_users": 136_677, "n_items": 20_108, "n_interactions": 10_000_000}


def main() -> None:
    """Check, then time in turns."""
    X = fastlae.data.make_interactions(**SHAPE, seed=0)
    ours, scipys = fastlae.ops.gram(X), (X.T @ X).toarray()
    assert np.array_equal(ours, scipys)
    del ours, scipys
    updates = float((np.diff(X.indptr).astype(float) * (np.diff(X.indptr) + 1) / 2).sum())
    times = alternate(
        {"fastlae": lambda: fastlae.ops.gram(X), "scipy": lambda: (X.T @ X).toarray()},
        repeat=3,
    )
    save(
        "gram",
        {
            "shape": SHAPE,
            "additions": updates,
            "seconds": {name: median(t) for name, t in times.items()},
            "scipy_over_fastlae": round(median(times["scipy"]) / median(times["fastlae"]), 1),
        },
    )
