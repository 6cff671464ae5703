"""How good recommendations are: ranking metrics, and the evaluation of a model by them."""

from __future__ import annotations

from .embeddings import NearestNeighborScore, ndcg_by_popularity, nearest_neighbor_score, popularity_groups
from .evaluate import Evaluation, evaluate, tail_users
from .metrics import Metric, coverage, f1, hit_rate, mean_average_precision, mrr, ndcg, precision, recall

__all__ = [
    "Evaluation",
    "Metric",
    "NearestNeighborScore",
    "coverage",
    "evaluate",
    "f1",
    "hit_rate",
    "mean_average_precision",
    "mrr",
    "ndcg",
    "ndcg_by_popularity",
    "nearest_neighbor_score",
    "popularity_groups",
    "precision",
    "recall",
    "tail_users",
]
