"""The refresh of a network's weights, and SLIM as a regularizer."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")


def interactions(users=60, items=20, seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((users, items)) < 0.2).astype(np.float32))


OPTIONS = {"l2": 3.0, "alpha": 0.5, "min_count": 10}


def test_refreshes_an_embedding_every_so_many_epochs():
    X, module = interactions(), torch.nn.Embedding(20, 5)
    before = module.weight.detach().numpy().copy()
    memory = module.weight.data_ptr()
    refresh = nn.ImplicitSLIMRefresh(module.weight, X, every=3, **OPTIONS)
    assert [refresh.step() for _ in range(2)] == [False, False]
    np.testing.assert_array_equal(module.weight.detach().numpy(), before)
    assert refresh.step()
    assert refresh.refreshed_
    np.testing.assert_array_equal(module.weight.detach().numpy(), fastlae.ops.implicit_slim(before, X, **OPTIONS))
    assert module.weight.data_ptr() == memory
    assert module.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_linear_layers_and_padding(dtype):
    X, module = interactions(), torch.nn.Linear(21, 5).to(dtype)
    before = module.weight.detach().clone()
    nn.ImplicitSLIMRefresh(module.weight, X, axis=1, skip_first=1, **OPTIONS).refresh()
    assert torch.equal(module.weight[:, 0], before[:, 0])
    E = np.ascontiguousarray(before[:, 1:].float().numpy().T)
    expected = torch.from_numpy(fastlae.ops.implicit_slim(E, X, **OPTIONS)).to(dtype)
    assert torch.equal(module.weight[:, 1:].T, expected)


@pytest.mark.parametrize("state", ["keep", "reset"])
def test_the_state_of_the_optimizer(state):
    X, module = interactions(), torch.nn.Embedding(20, 5)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    module.weight.sum().backward()
    optimizer.step()
    moments = optimizer.state[module.weight]["exp_avg"].clone()
    refresh = nn.ImplicitSLIMRefresh(module.weight, X, every=1, optimizer=optimizer, state=state, **OPTIONS)
    refresh.step()
    if state == "keep":
        assert torch.equal(optimizer.state[module.weight]["exp_avg"], moments)
    else:
        assert module.weight not in optimizer.state
    optimizer.step()  # training goes on


def test_several_weights_or_none():
    X, one, other = interactions(), torch.nn.Embedding(20, 5), torch.nn.Embedding(20, 3)
    refresh = nn.ImplicitSLIMRefresh([one.weight, other.weight], X, **OPTIONS)
    refresh.refresh()
    with torch.no_grad():
        other.weight[3, 1] = float("nan")
    before = one.weight.detach().clone()
    with pytest.raises(ValueError, match="NaN"):
        refresh.refresh()
    assert torch.equal(one.weight, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every"),
        ({"axis": 2}, ValueError, "axis"),
        ({"state": "drop"}, ValueError, "state"),
        ({"state": "reset"}, ValueError, "optimizer"),
        ({"l2": 0}, ValueError, "l2"),
        ({"alpha": -1}, ValueError, "alpha"),
        ({"min_count": 1000}, ValueError, "min_count"),
        ({"weight": torch.zeros(19, 5)}, ValueError, "weight: expected 20 items"),
        ({"weight": torch.zeros(20, 5, dtype=torch.int64)}, TypeError, "weight"),
    ],
)
def test_refuses(options, error, message):
    arguments = {"weight": torch.zeros(20, 5), "X": interactions(), **OPTIONS} | options
    with pytest.raises(error, match=message):
        nn.ImplicitSLIMRefresh(arguments.pop("weight"), arguments.pop("X"), **arguments)


def test_regularizer_against_the_equation_and_its_gradient():
    X = interactions()
    B = fastlae.EASE(l2=3.0, dtype="float64").fit(X).weights_
    E = torch.randn(20, 4, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    value = E.detach().numpy()
    loss = 0.5 * nn.slim_regularizer(E, X, l2=3.0)
    np.testing.assert_allclose(loss.item(), 0.5 * ((value - B.T @ value) ** 2).sum(), rtol=1e-4)
    loss.backward()
    I_B = np.eye(20) - B
    np.testing.assert_allclose(E.grad.numpy(), I_B @ I_B.T @ value, atol=1e-3)
    with pytest.raises(ValueError, match="E: expected a matrix of 20 rows"):
        nn.SLIMRegularizer(X, l2=3.0)(torch.zeros(4, 20))
    with pytest.raises(ValueError, match="l2"):
        nn.SLIMRegularizer(X, l2=0)


def test_regularizer_trains():
    regularizer = nn.SLIMRegularizer(interactions(), l2=3.0)
    E = torch.nn.Embedding(20, 4)
    optimizer = torch.optim.SGD(E.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = regularizer(E.weight)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
