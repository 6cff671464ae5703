"""Small neural recommenders and data that several tests share."""

from __future__ import annotations

import numpy as np
import pytest

import fastlae

nn = pytest.importorskip("fastlae.nn")

X = fastlae.data.make_interactions(n_users=60, n_items=25, n_interactions=500, seed=1).astype(np.float32)
SHOWN = fastlae.Interactions.from_matrix(X, item_ids=[f"item {i}" for i in range(25)])
SMALL = {
    "RecVAE": {"hidden": 8, "latent": 4},
    "MultVAE": {"hidden": 8, "latent": 4},
    "MultDAE": {"hidden": 8},
    "CDAE": {"hidden": 8},
    "HVamp": {"hidden": 8, "latent": 4, "pseudo_inputs": 5},
    "RaCT": {"hidden": 8, "latent": 4, "actor_epochs": 1, "critic_epochs": 1, "critic_rate": 0.01, "joint_rate": 1e-3},
}


def small(name, **options):
    return getattr(nn, name)(**{**SMALL[name], "epochs": 3, "batch_size": 16, "num_threads": 1, **options})


def parameters(model):
    return {key: value.numpy().copy() for key, value in model.module_.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
