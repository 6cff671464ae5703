"""From a user's interactions to the mean and the log-variance of the posterior."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from . import functional as F
from .functional import CsrTensors

Posterior = tuple[torch.Tensor, torch.Tensor]


class SparseLinear(nn.Module):
    """A linear layer from items, of which it touches those that are there; its weight has a row per item.

    Parameters
    ----------
    n_items, width : int
    xavier : bool
        Start as Xavier's normal numbers, else as `torch.nn.Linear`.
    """

    def __init__(self, n_items: int, width: int, xavier: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, width))
        self.bias = nn.Parameter(torch.empty(width))
        start(self.weight, self.bias, n_items, xavier)

    def forward(self, x: CsrTensors) -> torch.Tensor:
        """X W + b."""
        return F.sparse_linear(x, self.weight, self.bias)


def start(weight: torch.Tensor, bias: torch.Tensor, fan_in: int, xavier: bool = False) -> None:
    """First numbers of a layer: those of `torch.nn.Linear`, or Xavier's normal ones with small biases."""
    with torch.no_grad():
        if xavier:
            nn.init.xavier_normal_(weight)
            nn.init.trunc_normal_(bias, std=0.001)
        else:
            bound = 1 / math.sqrt(max(1, fan_in))
            weight.uniform_(-bound, bound)
            bias.uniform_(-bound, bound)


class DenselyConnectedEncoder(nn.Module):
    """RecVAE's encoder: five layers, each fed with the sum of all before it, swish and layer norm.

    h_1 = LN(swish(W_1 x + b_1)), h_k = LN(swish(W_k h_(k-1) + b_k + sum_(j<k) h_j)), then two linear layers.

    Parameters
    ----------
    n_items, hidden, latent : int
        Widths.
    eps : float
        Of the layer norm.
    """

    def __init__(self, n_items: int, hidden: int, latent: int, eps: float = 0.1) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=eps) for _ in range(5))
        self.both = nn.Linear(hidden, 2 * latent)

    def forward(self, x: CsrTensors) -> Posterior:
        """Mean and log-variance, (users, latent) each, for rows of length one."""
        layers, norms = list[Any](self.layers), list[Any](self.norms)
        h = before = activation(F.sparse_linear(x, self.first.weight), self.first.bias, norms[0])
        for layer, norm in zip(layers[:-1], norms[1:-1], strict=True):
            h, before = activation(F.linear(h, layer.weight), layer.bias, norm, before, with_total=True)
        h = activation(F.linear(h, layers[-1].weight), layers[-1].bias, norms[-1], before)
        mean, logvar = dense(self.both, h).chunk(2, dim=1)
        return mean, logvar


def dense(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A layer with its bias, by `functional.linear`."""
    return F.linear(x, layer.weight) + layer.bias


def activation(
    product: torch.Tensor, bias: torch.Tensor, norm: Any, residual: torch.Tensor | None = None, with_total: bool = False
) -> Any:
    """LN(swish(product + bias + residual)), bias that of the layer, with the weights of a `torch.nn.LayerNorm`.

    Layers and norms are read, not called: hooks on them do not act.
    """
    options: dict[str, Any] = {"layer_bias": bias, "residual": residual, "with_total": with_total}
    return F.swish_norm(product, norm.weight, norm.bias, eps=norm.eps, **options)


class TanhEncoder(nn.Module):
    """Mult-VAE's encoder: one hidden layer with tanh, then a linear one.

    Parameters
    ----------
    n_items, hidden, latent : int
        Widths.
    """

    def __init__(self, n_items: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden, xavier=True)
        self.both = nn.Linear(hidden, 2 * latent)
        start(self.both.weight, self.both.bias, hidden, xavier=True)

    def forward(self, x: CsrTensors) -> Posterior:
        """Mean and log-variance, (users, latent) each, for rows of length one."""
        mean, logvar = dense(self.both, torch.tanh(self.first(x))).chunk(2, dim=1)
        return mean, logvar


def sampled(mean: torch.Tensor, logvar: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A draw z = mean + sigma * noise, with the noise."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return torch.addcmul(mean, torch.exp(0.5 * logvar), noise), noise


def standard_kl(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Divergence of every posterior from the standard normal, in closed form, (users,)."""
    return 0.5 * (logvar.exp() + mean.square() - 1 - logvar).sum(1)
