"""How good recommendations are: ranking metrics, and the evaluation of a model by them."""

from __future__ import annotations

from .evaluate import Evaluation, evaluate
from .metrics import Metric, coverage, f1, hit_rate, mean_average_precision, mrr, ndcg, precision, recall

__all__ = [
    "Evaluation",
    "Metric",
    "coverage",
    "evaluate",
    "f1",
    "hit_rate",
    "mean_average_precision",
    "mrr",
    "ndcg",
    "precision",
    "recall",
]
