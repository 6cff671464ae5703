"""Scores of embeddings: nearest neighbours by class, NDCG by popularity."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import evaluation


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_neighbours_against_loops(dtype):
    rng = np.random.default_rng(0)
    E = rng.standard_normal((60, 5)).astype(dtype)
    classes = [list("abcdef"[: rng.integers(0, 3)]) + (["z"] if rng.random() < 0.3 else []) for _ in range(60)]
    got = evaluation.nearest_neighbor_score(E, classes)
    used = [i for i in range(60) if classes[i]]
    hits = {"euclidean": 0, "cosine": 0}
    for i in used:
        others = [j for j in used if j != i]
        nearest = min(others, key=lambda j: np.linalg.norm(E[i].astype(float) - E[j]))
        hits["euclidean"] += bool(set(classes[i]) & set(classes[nearest]))
        nearest = max(others, key=lambda j: E[i].astype(float) @ E[j] / np.linalg.norm(E[j].astype(float)))
        hits["cosine"] += bool(set(classes[i]) & set(classes[nearest]))
    assert got == (hits["euclidean"] / len(used), hits["cosine"] / len(used), len(used))


def test_classes_as_a_matrix_and_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    E = rng.standard_normal((50, 3))
    matrix = sp.random(50, 6, 0.3, "csr", random_state=0)
    lists = [matrix[i].indices.tolist() for i in range(50)]
    one = evaluation.nearest_neighbor_score(E, matrix)
    assert one == evaluation.nearest_neighbor_score(E, lists)
    monkeypatch.setattr("fastlae.evaluation.embeddings._BLOCK_BYTES", 8 * 50 * 7)
    assert one == evaluation.nearest_neighbor_score(E, matrix)


def test_groups_are_of_equal_size_and_by_popularity():
    rng = np.random.default_rng(0)
    X = sp.csr_matrix((rng.random((80, 31)) < rng.uniform(0, 0.5, 31)).astype(float))
    groups = evaluation.popularity_groups(X, 3)
    counts = np.asarray(X.sum(axis=0)).ravel()
    assert sorted(np.bincount(groups)) == [10, 10, 11]
    assert counts[groups == 0].min() >= counts[groups == 1].max()
    assert counts[groups == 1].min() >= counts[groups == 2].max()


def test_ndcg_of_a_group_is_ndcg_of_its_targets():
    rng = np.random.default_rng(0)
    X = sp.csr_matrix((rng.random((80, 30)) < 0.3).astype(float))
    held_out = sp.csr_matrix((rng.random((80, 30)) < 0.2).astype(float))
    top = fastlae.Popularity().fit(X).recommend(X, k=10)[0]
    groups = evaluation.popularity_groups(X, 3)
    found = evaluation.ndcg_by_popularity(top, held_out, X, k=10)
    for group in range(3):
        part = held_out.toarray() * (groups == group)
        expected = evaluation.ndcg(top, sp.csr_matrix(part), 10)
        assert float(found[group]) == float(expected)
        assert found[group].n_left_out == (part.sum(axis=1) == 0).sum()
    whole = evaluation.ndcg_by_popularity(top, held_out, X, k=10, groups=1)
    assert float(whole[0]) == float(evaluation.ndcg(top, held_out, 10))


def test_refuses():
    E = np.ones((4, 2))
    with pytest.raises(ValueError, match="classes: expected 4 items"):
        evaluation.nearest_neighbor_score(E, [["a"]])
    with pytest.raises(ValueError, match="classes: expected two items"):
        evaluation.nearest_neighbor_score(E, [["a"], [], [], []])
    with pytest.raises(ValueError, match="NaN"):
        evaluation.nearest_neighbor_score(np.full((4, 2), np.nan), [["a"]] * 4)
    X = sp.csr_matrix(np.eye(4))
    with pytest.raises(ValueError, match="groups"):
        evaluation.popularity_groups(X, 5)
    with pytest.raises(TypeError, match="groups"):
        evaluation.popularity_groups(X, 1.5)
    with pytest.raises(ValueError, match="train: expected 4 items"):
        evaluation.ndcg_by_popularity([[0]] * 4, X, sp.csr_matrix(np.eye(3)), k=1)
