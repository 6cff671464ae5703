"""What it costs to keep only the largest weights of a linear model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import evaluation
from ..models.linear import LinearAutoencoder


def sparsity(
    model: LinearAutoencoder,
    train: Any,
    test: Any,
    *,
    top_k: int | Iterable[int] = (10, 20, 50, 100, 200),
    metric: str = "ndcg",
    k: int = 20,
    protocol: str = "weak",
) -> list[dict[str, Any]]:
    """Measure a model with all of its weights, and with the largest of every column only.

    Parameters
    ----------
    model : LinearAutoencoder
        Fitted.
    train, test, metric, k, protocol
        As of `fastlae.evaluation.evaluate`: what the model is shown, the targets, and how they are measured.
    top_k : int or several
        See `LinearAutoencoder.sparsify`.

    Returns
    -------
    list of dict
        A row for all weights, then one per `top_k`, the largest first: "top_k" (None: all), "weights" (their number),
        "megabytes" (of the weights in memory), the metric under its name, and "kept", its share of what all weights
        reach.

    Raises
    ------
    TypeError
        If the model has no weights of its own to drop, such as one that keeps factors.

    Examples
    --------
    >>> import fastlae
    >>> train, test = fastlae.data.split_weak(fastlae.data.make_interactions(n_users=200, n_items=90, seed=4))
    >>> table = fastlae.tune.sparsity(fastlae.EASE(l2=20).fit(train), train, test, top_k=[5, 30])
    >>> [(row["top_k"], row["weights"]) for row in table]
    [(None, 8100), (30, 2700), (5, 450)]
    >>> table[0]["kept"], table[1]["kept"] > 0.9
    (1.0, True)
    """
    if not isinstance(model, LinearAutoencoder):
        raise TypeError(f"model: expected a linear autoencoder with a weight per pair of items, got {model!r}")
    name = f"{metric}@{k}"
    sizes = sorted(set(top_k) if isinstance(top_k, Iterable) else {int(top_k)}, reverse=True)
    n, itemsize = model.n_items_, model._learned_dtype.itemsize
    rows: list[dict[str, Any]] = []
    for size in [None, *sizes]:
        one: Any = model if size is None else model.sparsify(top_k=size)
        result = evaluation.evaluate(one, train, test, k=k, metrics=metric, protocol=protocol)
        value = float(result[name])
        whole = rows[0][name] if rows else value
        sparse = one.form_ == "sparse"
        weights = one.weights_.nnz if sparse else n * n
        # A sparse weight has an index of four bytes beside it.
        megabytes = weights * (itemsize + 4 if sparse else itemsize) / 1e6
        kept = value / whole if whole else float("nan")
        rows.append({"top_k": size, "weights": weights, "megabytes": megabytes, name: value, "kept": kept})
    return rows
