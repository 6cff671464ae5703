"""The network of DLR2: residual features of a user and the last items, a generator and a distance.

Shapes: B states in a batch, D = dim, L = items of a state; a state is the user's vector above the vectors of the last L
items, oldest first: (B, L + 1, D).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

CONVS = ("1d", "2d")
VARIANTS = ("resnet", "revnet", "no_conv", "no_residual")
_CHANNELS = 64, 128  # of the two blocks
_HIDDEN = 256, 256, 128  # of generator and distance
_OUTPUT_GAIN = 0.5


class _Conv1d(nn.Conv1d):
    """A convolution over few positions as one matrix product: two to three times as fast as the library's (measured).

    Padding is half of the kernel's width. Channels lie next to each other in memory between layers.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As of `torch.nn.Conv1d`."""
        (width,), (stride,) = self.kernel_size, self.stride
        x = x.transpose(1, 2)
        count = (x.shape[1] + stride - 1) // stride
        if width > 1:
            x = nn.functional.pad(x, (0, 0, width // 2, width // 2))
        shifted = [x[:, k : k + stride * (count - 1) + 1 : stride] for k in range(width)]
        y = nn.functional.linear(torch.cat(shifted, dim=2), self.weight.transpose(1, 2).flatten(1), self.bias)
        return y.transpose(1, 2)


class _Convolutions:
    """Convolutions over positions and dimensions (2d: the state is an image) or over positions alone (1d)."""

    def __init__(self, conv: str) -> None:
        self.layer: Callable[..., nn.Module] = nn.Conv2d if conv == "2d" else _Conv1d
        self.norm: Callable[..., nn.Module] = nn.BatchNorm2d if conv == "2d" else nn.BatchNorm1d

    def three(self, inside: int, outside: int, stride: int = 1) -> nn.Module:
        """A kernel of width 3 that keeps the size, or halves it."""
        return self.layer(inside, outside, 3, stride=stride, padding=1)

    def one(self, inside: int, outside: int, stride: int = 1) -> nn.Module:
        """A kernel of width 1."""
        return self.layer(inside, outside, 1, stride=stride)

    def pair(self, inside: int, outside: int, stride: int = 1) -> nn.Sequential:
        """Two convolutions of width 3 with a ReLU between."""
        return nn.Sequential(self.three(inside, outside, stride), nn.ReLU(), self.three(outside, outside))


class _Block(nn.Module):
    """F(x) + skip(x), or F(x) alone."""

    def __init__(self, body: nn.Module, skip: nn.Module | None) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y: Tensor = self.body(x)
        return y if self.skip is None else y + self.skip(x)


class _Reversible(nn.Module):
    """y1 = x1 + F(x2), y2 = x2 + G(y1) on the two halves of the channels."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        x1, x2 = x.chunk(2, dim=1)
        y1 = x1 + self.first(x2)
        return torch.cat([y1, x2 + self.second(y1)], dim=1)


class Features(nn.Module):
    """From states (B, L + 1, D) to features (B, D)."""

    def __init__(self, dim: int, length: int, conv: str, variant: str) -> None:
        super().__init__()
        self.conv = conv
        self.convolves = variant != "no_conv"
        if not self.convolves:
            sizes = [(length + 1) * dim, *[256] * 4]
            layers: list[nn.Module] = [nn.Flatten()]
            for inside, outside in itertools.pairwise(sizes):
                layers += [nn.Linear(inside, outside), nn.ReLU()]
            self.body: nn.Module = nn.Sequential(*layers)
            self.last = nn.Linear(sizes[-1], dim)
            return
        make, (narrow, wide) = _Convolutions(conv), _CHANNELS
        lift = nn.Sequential(make.one(1 if conv == "2d" else dim, narrow), nn.ReLU())
        blocks: list[nn.Module]
        if variant == "revnet":
            blocks = [
                _Reversible(*(make.pair(narrow // 2, narrow // 2) for _ in range(2))),
                make.three(narrow, wide, stride=2),
                _Reversible(*(make.pair(wide // 2, wide // 2) for _ in range(2))),
            ]
        else:
            residual = variant == "resnet"
            halved = nn.Sequential(make.one(narrow, wide, stride=2), make.norm(wide))
            blocks = [
                _Block(make.pair(narrow, narrow), nn.Identity() if residual else None),
                _Block(make.pair(narrow, wide, stride=2), halved if residual else None),
            ]
        self.body = nn.Sequential(lift, *blocks, nn.Flatten())
        positions = (length + 2) // 2
        self.last = nn.Linear(wide * positions * ((dim + 1) // 2 if conv == "2d" else 1), dim)

    def forward(self, states: Tensor) -> Tensor:
        """Features of every state."""
        if self.convolves:
            states = states.unsqueeze(1) if self.conv == "2d" else states.transpose(1, 2)
        features: Tensor = self.last(self.body(states))
        return features


class DLR2Network(nn.Module):
    """Embeddings, features, generator G (D to D, tanh) and distance S (2 D to 1, ReLU).

    Row 0 of both embeddings is the zero vector, without a gradient: an unknown user, and a position before a user's
    first item. Users and items begin at row 1.
    """

    def __init__(self, n_users: int, n_items: int, *, dim: int, length: int, conv: str, variant: str) -> None:
        super().__init__()
        self.users = nn.Embedding(n_users + 1, dim, padding_idx=0)
        self.items = nn.Embedding(n_items + 1, dim, padding_idx=0)
        self.features = Features(dim, length, conv, variant)
        self.generator = _chain([dim, *_HIDDEN, dim], nn.Tanh())
        self.distance = _chain([2 * dim, *_HIDDEN, 1], nn.ReLU())
        for module in self.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                assert module.bias is not None
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        # Where no ReLU follows: states and G's output of standard deviation 3, as Kaiming's factor makes them, saturate
        # tanh from the start, and training hardly recovers (docs/dlr2.md).
        for last in (self.features.last, self.generator[-2], self.distance[-2]):
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, std=_OUTPUT_GAIN / last.in_features**0.5)

    def states(self, users: Tensor, items: Tensor) -> Tensor:
        """Features of users (B,) with their last items (B, L), as rows of the embeddings."""
        vectors = torch.cat([self.users(users).unsqueeze(1), self.items(items)], dim=1)
        features: Tensor = self.features(vectors)
        return features

    def distances(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """S of every pair (B,).

        The gradient passes its last ReLU as if it was not there. Adam's first steps throw all pairs below 0 more often
        than not, where equation (10) would have no gradient, and S would stay 0 for ever (measured).
        """
        z = self.distance[:-1](torch.cat([features, embeddings], dim=1)).squeeze(1)
        found: Tensor = z + (self.distance[-1](z) - z).detach()
        return found

    def all_distances(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """S before its last ReLU, of all pairs (B, items): the same order, with pairs at distance zero apart.

        The first layer is the sum of a part of the state and a part of the item, each computed once.
        """
        first = self.distance[0]
        assert isinstance(first, nn.Linear)
        dim = features.shape[1]
        ours = nn.functional.linear(features, first.weight[:, :dim], first.bias)
        theirs = nn.functional.linear(embeddings, first.weight[:, dim:])
        hidden = ours[:, None, :] + theirs[None, :, :]
        for layer in list(self.distance)[1:-1]:
            hidden = torch.relu_(hidden) if isinstance(layer, nn.ReLU) else layer(hidden)
        return hidden.squeeze(2)


def _chain(sizes: list[int], last: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside, outside in itertools.pairwise(sizes):
        layers += [nn.Linear(inside, outside), nn.ReLU()]
    layers[-1] = last
    return nn.Sequential(*layers)


def discriminative_loss(near: Tensor, far: Tensor, margin: float) -> Tensor:
    """Equation (10): mean[S(s, e+)² + max(m - S(s, e-), 0)²]."""
    return (near.square() + torch.relu(margin - far).square()).mean()


def generative_loss(made: Tensor, positive: Tensor, negative: Tensor, margin: float, squared: bool) -> Tensor:
    """Equation (11): mean max(d(G(s), e+) - d(G(s), e-) + m, 0), d a norm or the mean squared difference."""

    def apart(e: Tensor) -> Tensor:
        difference = made - e
        if squared:
            return difference.square().mean(dim=1)
        return difference.square().sum(dim=1).clamp_min(1e-24).sqrt()

    return torch.relu(apart(positive) - apart(negative) + margin).mean()
