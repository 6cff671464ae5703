"""The diagonal family for torch: inverses and weights with gradients, also to the hyperparameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlae import ops
from fastlae.nn import functional as F
from fastlae.nn.functional import inverse
from torch_cases import compare, normal, spd, symmetric


def test_spd_inverse():
    compare(symmetric(F.spd_inverse), symmetric(torch.linalg.inv), spd(), tolerance=1e-8)


def brute_force_deql(G, l2, p, a, b):
    """Column by column, the minimiser of E |A (X - (Delta X) W)|^2 + sum l2_k W_ki^2 (DEQL paper, (5))."""
    n, q = G.shape[0], 1 - p
    # Entry (u, i) is weighted a^2 where it was dropped and b^2 where it was kept; inputs are kept with probability q.
    columns = []
    for i in range(n):
        own = torch.eye(n, dtype=G.dtype)[i]
        m = p * a * a + q * b * b
        keep = q * torch.ones(n, dtype=G.dtype)
        pairs = keep[:, None] * keep[None, :] * m  # E[w_i delta_k delta_l] for k, l, i different
        pairs = torch.where(torch.eye(n, dtype=torch.bool), (keep * m)[:, None], pairs)  # k = l
        with_own = q * b * b * torch.where(own.bool(), 1.0, keep)  # k = i: kept, so weighted b^2
        pairs = torch.where(own.bool()[:, None], with_own[None, :], pairs)
        pairs = torch.where(own.bool()[None, :], with_own[:, None], pairs)
        right = torch.where(own.bool(), q * b * b, keep * m)  # E[w_i delta_k]
        H = G * pairs + torch.diag(l2.expand(n))
        columns.append(torch.linalg.solve(H, G[:, i] * right))
    return torch.stack(columns, 1)


@pytest.mark.parametrize("per_item", [False, True])
def test_deql_weights(per_item):
    n = 9
    l2 = (
        torch.rand(n, generator=torch.Generator().manual_seed(7)).double() + 0.5
        if per_item
        else torch.tensor(2.0).double()
    )
    numbers = [torch.tensor(value).double() for value in (0.4, 1.1, 0.3)]
    compare(
        symmetric(lambda G, l2, p, a, b: F.deql_weights(G, l2=l2, dropout=p, a=a, b=b)),
        symmetric(brute_force_deql),
        spd(n),
        l2,
        *numbers,
        tolerance=1e-8,
    )


def plain_edlae(G, l2, p):
    C = torch.linalg.inv(G + torch.diag(p / (1 - p) * G.diagonal() + l2))
    return torch.eye(len(G)).double() - C / C.diagonal()


def plain_dlae(G, l2, p):
    ridge = p / (1 - p) * G.diagonal() + l2
    return torch.eye(len(G)).double() - torch.linalg.inv(G + torch.diag(ridge)) * ridge


@pytest.mark.parametrize("per_item", [False, True])
def test_edlae_and_dlae_weights(per_item):
    l2, p = torch.tensor(2.0).double(), torch.tensor(0.4).double()
    if per_item:
        l2, p = l2 + torch.rand(9).double(), p + 0.3 * torch.rand(9).double()
    for ours, plain in ((F.edlae_weights, plain_edlae), (F.dlae_weights, plain_dlae)):
        compare(symmetric(lambda G, l2, p, f=ours: f(G, l2=l2, dropout=p)), symmetric(plain), spd(), l2, p)
    torch.testing.assert_close(F.ease_weights(spd(), l2=2.0), plain_edlae(spd(), 2.0, 0.0))
    torch.testing.assert_close(F.lae_weights(spd(), l2=2.0), plain_dlae(spd(), 2.0, 0.0))


@pytest.mark.parametrize("zero_diagonal", [False, True])
@pytest.mark.parametrize("dropout", [0.4, "vector"])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_deql_weights_are_those_of_ops(dropout, l2, zero_diagonal):
    G = spd(30)
    p = np.linspace(0.2, 0.6, 30) if dropout == "vector" else dropout
    if dropout == "vector" and l2:
        with pytest.raises(ValueError, match="l2"):
            F.deql_weights(G, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
        return
    d = G.diagonal().numpy()
    ridge = ops.weights.deql_ridge(d, l2=l2, dropout=p, a=1.0, b=0.25)
    C = np.linalg.inv(G.numpy() + np.diag(ridge))
    expected = ops.deql_weights((C + C.T) / 2, d, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
    found = F.deql_weights(G, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    if zero_diagonal:
        assert found.diagonal().abs().max() < 1e-14


def test_hyperparameters_can_be_trained_through_the_closed_form():
    """Ridge and dropout of EDLAE by gradient descent on validation rows."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(400, 4)) @ rng.normal(size=(4, 30))
    X = torch.from_numpy((taste + rng.normal(size=taste.shape) > 1.0).astype(np.float64))
    train, held_out = X[:300], X[300:]
    G = train.T @ train
    log_l2 = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logit = torch.full((30,), -2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_l2, logit], lr=0.2)
    losses = []
    for _ in range(25):
        W = F.edlae_weights(G, l2=log_l2.exp(), dropout=torch.sigmoid(logit))
        loss = (held_out - held_out @ W).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert min(losses[1:]) < losses[0] - 1e-4


def test_the_gradient_to_a_ridge_takes_no_product_for_the_gram_matrix():
    """And is the diagonal of the one for the whole matrix."""
    A = spd()
    C, upstream = torch.linalg.inv(A), normal(9, 9)
    whole, diagonal = inverse.ridge_inverse_backward(upstream, C, True)
    nothing, alone = inverse.ridge_inverse_backward(upstream, C, False)
    assert nothing.numel() == 0
    torch.testing.assert_close(alone, diagonal)
    torch.testing.assert_close(whole, -C @ upstream @ C)
