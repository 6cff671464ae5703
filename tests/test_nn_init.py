"""Starts for the embeddings of networks, against their definitions in NumPy."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")
init = nn.init

X = sp.csr_matrix((np.random.default_rng(0).random((70, 30)) < 0.2).astype(np.float32))
FILLS = {
    "leporid_": {"k": 8, "alpha": 0.7},
    "le_": {"k": 8},
    "svd_": {},
    "netmf_": {"k": 8, "window": 3},
    "implicit_slim_": {"l2": 3.0, "alpha": 0.5, "steps": 2},
}


def expected(name, M, before):
    """What a start is, for the columns of M."""
    if name in ("leporid_", "le_"):
        graph = fastlae.ops.knn_graph(M, k=8)
        return fastlae.ops.laplacian_eigenmaps(graph, dim=5, alpha=0.7 if name == "leporid_" else 0.0, standardize=True)
    if name == "netmf_":
        return fastlae.ops.netmf(fastlae.ops.knn_graph(M, k=8), dim=5, window=3)
    for _ in range(2):
        before = fastlae.ops.implicit_slim(before, M, l2=3.0, alpha=0.5)
    return before


@pytest.mark.parametrize("side", ["items", "users"])
@pytest.mark.parametrize("name", FILLS)
def test_fills_an_embedding(name, side):
    n = 30 if side == "items" else 70
    module = torch.nn.Embedding(n, 5)
    before, memory = module.weight.detach().numpy().copy(), module.weight.data_ptr()
    assert getattr(init, name)(module.weight, X, side, **FILLS[name]) is module.weight
    assert module.weight.data_ptr() == memory
    assert module.weight.requires_grad
    got = module.weight.detach().numpy()
    if name == "svd_":
        want = fastlae.ops.svd_embeddings(X, dim=5)[side == "items"]
    else:
        want = expected(name, X if side == "items" else sp.csr_matrix(X.T), before)
    np.testing.assert_allclose(got, want, atol=2e-5)


def test_both_sides_of_svd_belong_together():
    users, items = torch.nn.Embedding(70, 30), torch.nn.Embedding(30, 30)
    init.svd_(users.weight, X, "users")
    init.svd_(items.weight, X)
    np.testing.assert_allclose((users.weight @ items.weight.T).detach().numpy(), X.toarray(), atol=1e-5)


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_linear_layers_and_padding(name, dtype):
    plain, module = torch.nn.Embedding(30, 5), torch.nn.Linear(31, 5).to(dtype)
    with torch.no_grad():
        plain.weight.copy_(module.weight[:, 1:].T)
    first = module.weight[:, 0].detach().clone()
    getattr(init, name)(plain.weight, X, **FILLS[name])
    getattr(init, name)(module.weight, X, axis=1, skip_first=1, **FILLS[name])
    assert torch.equal(module.weight[:, 0], first)
    near = {} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}  # float64 is filled with all that it holds
    torch.testing.assert_close(module.weight[:, 1:].T, plain.weight.to(dtype), **near)


@pytest.mark.parametrize("name", FILLS)
def test_standard_columns(name):
    for standardize in (True, False):
        weight = torch.nn.Embedding(30, 5).weight
        getattr(init, name)(weight, X, standardize=standardize, **FILLS[name])
        columns = weight.detach().numpy()
        standard = np.allclose(columns.mean(axis=0), 0, atol=1e-5) and np.allclose(columns.std(axis=0), 1, atol=1e-5)
        assert standard == standardize


def test_le_is_leporid_without_regularization_and_a_graph_serves_many():
    graph = fastlae.ops.knn_graph(X, k=4)
    one, two, three = (torch.nn.Embedding(30, 5).weight for _ in range(3))
    init.le_(one, X, graph=graph)
    init.leporid_(two, X, alpha=0.0, graph=graph)
    init.leporid_(three, X, alpha=0.0, k=4)
    assert torch.equal(one, two)
    assert torch.equal(one, three)


def test_interactions_are_taken_and_more_neighbours_than_there_are():
    one, two = (torch.nn.Embedding(30, 5).weight for _ in range(2))
    init.le_(one, fastlae.Interactions.from_matrix(X), k=1000)
    init.le_(two, X, k=29)
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("weight", "options", "error", "text"),
    [
        (torch.nn.Embedding(29, 5).weight, {}, ValueError, "expected 30 items along axis 0"),
        (torch.nn.Embedding(30, 5).weight, {"side": "users"}, ValueError, "expected 70 users"),
        (torch.nn.Embedding(30, 5).weight, {"skip_first": 1}, ValueError, r"30 items \(and 1 before them\)"),
        (torch.nn.Embedding(30, 5).weight, {"side": "item"}, ValueError, "side: "),
        (torch.nn.Embedding(30, 5).weight, {"axis": 2}, ValueError, "axis: "),
        (torch.zeros(30, 5, dtype=torch.int64), {}, TypeError, "weight: "),
        (torch.zeros(30), {}, TypeError, "weight: "),
        (np.zeros((30, 5)), {}, TypeError, "weight: "),
        (torch.nn.Embedding(30, 31).weight, {}, ValueError, "dim: "),
    ],
)
@pytest.mark.parametrize("name", ["leporid_", "svd_", "netmf_"])
def test_what_they_refuse(name, weight, options, error, text):
    before = weight.clone() if isinstance(weight, torch.Tensor) else weight
    with pytest.raises(error, match=text):
        getattr(init, name)(weight, X, **options)
    assert (weight == before).all()


def test_implicit_slim_refuses_what_is_not_finite():
    weight = torch.full((30, 5), torch.nan)
    with pytest.raises(ValueError, match="finite"):
        init.implicit_slim_(weight, X, l2=1.0, alpha=1.0)


def test_bpr_needs_implicit(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(ImportError, match=r"pip install 'fastlae\[bpr\]'"):
        init.bpr_(torch.nn.Embedding(30, 5).weight, X)


@pytest.mark.skipif(importlib.util.find_spec("implicit") is None, reason="implicit is not installed")
@pytest.mark.filterwarnings("ignore")
def test_bpr():
    one, two = torch.nn.Embedding(30, 8), torch.nn.Embedding(30, 8)
    users = torch.nn.Embedding(70, 8)
    options = {"iterations": 30, "learning_rate": 0.1, "regularization": 0.01}
    for module in (one, two):
        assert init.bpr_(module.weight, X, **options) is module.weight
    init.bpr_(users.weight, X, "users", **options)
    assert torch.equal(one.weight, two.weight)
    assert "implicit" in sys.modules
    scores = (users.weight @ one.weight.T).detach().numpy()
    assert scores[X.toarray() > 0].mean() > scores[X.toarray() == 0].mean()
