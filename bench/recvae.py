"""An epoch of RecVAE beside its authors' formulation in plain torch: time, loss and NDCG@100, memory of the loss.

The formulation is written from the paper: a dense batch, the first layer as a matrix product, scores of all items, and
in every step the gradients of all weights, of which one optimizer uses its own. It is checked first: with the same
weights, noise and batch both have the same loss and gradients. Both run in one process with the same number of threads.
"""

from __future__ import annotations

import argparse
import copy
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

import fastlae
import fastlae.nn
from fastlae._sparse import as_csr
from fastlae.nn.base import torch_threads, unit
from fastlae.nn.functional import csr_tensors, linear_multinomial_nll
from fastlae.nn.recvae import RecVAENetwork
from fastlae.nn.training import Epoch

from .embeddings import interactions, quality
from .harness import alternate, earlier, in_child, median, save

ML20M = (136_677, 20_108, 9_990_682)
BATCH = 500
GAMMA = 0.005
WEIGHTS = (3 / 20, 3 / 4, 1 / 10)


class Dense(nn.Module):
    """RecVAE as its authors compute it, with the weights of one of ours."""

    def __init__(self, ours: RecVAENetwork) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(ours.encoder)
        self.decoder = nn.Linear(*reversed(ours.decoder.shape))
        self.decoder.load_state_dict({"weight": ours.decoder.detach(), "bias": ours.bias.detach()})
        self.old = copy.deepcopy(self.encoder).requires_grad_(False)

    @staticmethod
    def encode(encoder: Any, x: torch.Tensor, dropout: float) -> Any:
        """Mean and log-variance of dense rows."""
        x = x / x.square().sum(1, keepdim=True).sqrt().clamp_min(1e-10)
        x = nn.functional.dropout(x, dropout)
        h = encoder.norms[0](nn.functional.silu(nn.functional.linear(x, encoder.first.weight.T, encoder.first.bias)))
        before = h
        for layer, norm in zip(encoder.layers, encoder.norms[1:], strict=True):
            h = norm(nn.functional.silu(layer(h) + before))
            before = before + h
        return encoder.both(h).chunk(2, dim=1)

    def loss(self, x: torch.Tensor, dropout: float, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Loss of a batch, (17) to (20)."""
        mean, logvar = self.encode(self.encoder, x, dropout)
        z = mean + torch.exp(0.5 * logvar) * (torch.randn_like(mean) if noise is None else noise)
        with torch.no_grad():
            old_mean, old_logvar = self.encode(self.old, x, 0.0)
        parts = [
            normal_logpdf(z, torch.zeros_like(z), torch.zeros_like(z)),
            normal_logpdf(z, old_mean, old_logvar),
            normal_logpdf(z, torch.zeros_like(z), torch.full_like(z, 10.0)),
        ]
        mixed = torch.logsumexp(torch.stack([p + np.log(w) for p, w in zip(parts, WEIGHTS, strict=True)], -1), -1)
        divergence = (normal_logpdf(z, mean, logvar) - mixed).sum(1)
        nll = -(torch.log_softmax(self.decoder(z), 1) * x).sum(1)
        return (nll + GAMMA * x.sum(1) * divergence).mean()


def normal_logpdf(z: torch.Tensor, mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Of every coordinate."""
    return -0.5 * (logvar + np.log(2 * np.pi) + (z - mean).square() / logvar.exp())


class Authors:
    """Algorithm 1 on dense batches."""

    def __init__(self, module: RecVAENetwork, X: sp.csr_matrix, batch: int, seed: int, rate: float = 5e-4) -> None:
        self.module, self.X, self.batch = Dense(module), X, batch
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.encoder_optimizer = torch.optim.Adam(self.module.encoder.parameters(), rate)
        self.decoder_optimizer = torch.optim.Adam(self.module.decoder.parameters(), rate)

    def epoch(self) -> float:
        """Three passes for the encoder, one for the decoder; mean loss of the encoder's steps."""
        losses = [self._pass(self.encoder_optimizer, 0.5) for _ in range(3)]
        self.module.old.load_state_dict(self.module.encoder.state_dict())
        self._pass(self.decoder_optimizer, 0.0)
        return float(np.mean(losses))

    def _pass(self, optimizer: Any, dropout: float) -> float:
        total = 0.0
        order = self.rng.permutation(self.X.shape[0])
        for begin in range(0, len(order), self.batch):
            rows = order[begin : begin + self.batch]
            x = torch.from_numpy(self.X[rows].toarray())
            self.encoder_optimizer.zero_grad()
            self.decoder_optimizer.zero_grad()
            loss = self.module.loss(x, dropout)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        return total / len(order)

    def scores(self, X: sp.csr_matrix) -> np.ndarray:
        """Of every item for some users."""
        with torch.no_grad():
            mean, _ = self.module.encode(self.module.encoder, torch.from_numpy(X.toarray()), 0.0)
            return self.module.decoder(mean).numpy()

    def recommend(self, X: Any, k: int, *, exclude_seen: bool = True) -> Any:
        """For `evaluate`."""
        X = sp.csr_matrix(X, dtype=np.float32)
        return fastlae.ops.topk(self.scores(X), k=k, hidden=X)


class Ours:
    """One epoch at a time of `fastlae.nn.RecVAE`."""

    def __init__(self, model: fastlae.nn.RecVAE, X: sp.csr_matrix) -> None:
        self.module = model._made(X.shape)
        self._generator = torch.Generator().manual_seed(model.seed)
        self._program = model._program(self.module, csr_tensors(as_csr(X)), self._generator)

    def epoch(self) -> float:
        """Mean loss of the encoder's steps."""
        with fastlae._progress.span("epoch") as span:
            epoch = Epoch(1, self._program.steps, "users", "", span)
            self._program.run(epoch)
        return float(epoch.figures()["loss"])


def check() -> dict[str, float]:
    """Largest relative difference of loss and gradients, without noise in the input and with the same in z."""
    X = fastlae.data.make_interactions(n_users=40, n_items=300, n_interactions=900, seed=3).astype(np.float32)
    model = fastlae.nn.RecVAE(hidden=60, latent=20, dropout=0.0, batch_size=64, encoder_passes=1, decoder_passes=1)
    ours = Ours(model, X)
    dense = Dense(ours.module)
    x = csr_tensors(as_csr(X))
    noise = torch.randn(40, 20, generator=torch.Generator().manual_seed(5))
    mean, logvar = ours.module.encoder(unit(x))
    z = mean + torch.exp(0.5 * logvar) * noise
    with torch.no_grad():
        old = ours.module.encoder(unit(x))
    prior = fastlae.nn.functional.composite_prior_logpdf(z, *old)
    density = -0.5 * (logvar + noise.square() + np.log(2 * np.pi)).sum(1)
    totals = torch.from_numpy(np.asarray(X.sum(axis=1)).ravel())
    nll = linear_multinomial_nll(z, ours.module.decoder, ours.module.bias, x)
    loss = (nll + GAMMA * totals * (density - prior)).mean()
    want = dense.loss(torch.from_numpy(X.toarray()), 0.0, noise)
    pairs = [(loss, want)]
    mine = [*ours.module.encoder.parameters(), ours.module.decoder, ours.module.bias]
    theirs = [*dense.encoder.parameters(), *dense.decoder.parameters()]
    pairs += list(zip(torch.autograd.grad(loss, mine), torch.autograd.grad(want, theirs), strict=True))
    worst = max(float(((a - b).abs().max() / b.abs().max()).detach()) for a, b in pairs)
    if not worst < 1e-3:
        raise SystemExit(f"loss or gradients differ by {worst:.1e} of the largest")
    return {"difference": worst}


def timing(name: str, X: sp.csr_matrix, threads: int, repeat: int) -> dict[str, Any]:
    """Seconds of an epoch, in turns."""
    X = sp.csr_matrix(X, dtype=np.float32)
    model = fastlae.nn.RecVAE(num_threads=threads, batch_size=BATCH)
    with torch_threads(threads):
        ours = Ours(model, X)
        theirs = Authors(ours.module, X, BATCH, 0)
        times = alternate({"fastlae": ours.epoch, "authors": theirs.epoch}, repeat=repeat)
    ratios = sorted(b / a for a, b in zip(times["fastlae"], times["authors"], strict=True))
    row = {"data": name, "shape": [*X.shape, int(X.nnz)], "steps": ours._program.steps, "threads": threads}
    row |= {contender: median(seconds) for contender, seconds in times.items()}
    return row | {"ratio": round(ratios[len(ratios) // 2], 2), "ratios": [round(r, 2) for r in ratios]}


def trajectories(name: str, epochs: int, batch: int, seeds: tuple[int, ...], threads: int) -> dict[str, Any]:
    """Loss after every epoch and NDCG@100 of the test users after the last, for both and every seed."""
    split = fastlae.data.split_strong(interactions(name), seed=0)
    train = sp.csr_matrix(split.train, dtype=np.float32)
    common = {"hidden": 300, "latent": 100, "learning_rate": 1e-3}
    found: dict[str, Any] = {"data": name, "epochs": epochs, "batch": batch, **common, "fastlae": [], "authors": []}
    for seed in seeds:
        options = {**common, "gamma": GAMMA, "batch_size": batch, "epochs": epochs}
        model = fastlae.nn.RecVAE(**options, seed=seed, num_threads=threads)
        model.fit(train)
        row: dict[str, Any] = {"loss": [round(h["loss"], 3) for h in model.history_]}
        found["fastlae"].append(row | quality(model, split.test_fold_in, split.test_targets))
        with torch_threads(threads):
            other = Authors(model._made(train.shape), train, batch, seed, common["learning_rate"])
            row = {"loss": [round(other.epoch(), 3) for _ in range(epochs)]}
        found["authors"].append(row | quality(other, split.test_fold_in, split.test_targets))
        print(seed, found["fastlae"][-1]["ndcg@100"], found["authors"][-1]["ndcg@100"], flush=True)
    return found


def loss_memory(contender: str) -> dict[str, Any]:
    """Memory that a loss and its gradients take beyond their inputs and results, ML-20M's items."""
    n, width = ML20M[1], 200
    generator = torch.Generator().manual_seed(0)
    rows = sp.random(BATCH, n, 73 / n, format="csr", dtype=np.float32, random_state=0)
    rows.data[:] = 1
    x = csr_tensors(rows)
    dense = torch.from_numpy(rows.toarray()) if contender == "authors" else None
    z = torch.randn(BATCH, width, generator=generator).requires_grad_()
    weight = torch.randn(n, width, generator=generator).mul_(0.01).requires_grad_()
    bias = torch.zeros(n, requires_grad=True)
    for tensor in (z, weight, bias):
        tensor.grad = torch.zeros_like(tensor)

    def call() -> None:
        if dense is None:
            loss = linear_multinomial_nll(z, weight, bias, x).mean()
        else:
            loss = -(torch.log_softmax(nn.functional.linear(z, weight, bias), 1) * dense).sum(1).mean()
        loss.backward()

    from .harness import timed

    with torch_threads(1):
        linear_multinomial_nll(z[:2], weight, bias, csr_tensors(rows[:2]))  # libraries are loaded
        _, cost = timed(call)
    return {"added_mb": round(1000 * cost["added_gb"], 1), "logits_mb": round(BATCH * n * 4 / 1e6, 1)}


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="*", default=["time", "memory"], choices=["time", "memory", "trajectory"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    return parser


def main() -> None:
    """Agreement, then what was asked for; other parts of earlier results stay."""
    options = arguments().parse_args()
    results = earlier("recvae") or {}
    results["check"] = check()
    if "memory" in options.part:
        results["memory"] = {who: in_child("bench.recvae", "loss_memory", who) for who in ("fastlae", "authors")}
        save("recvae", results)
    if "time" in options.part:
        few = fastlae.data.make_interactions(n_users=2 * BATCH, n_items=ML20M[1], n_interactions=73_000, seed=0)
        rows = [timing("ml-1m, 2,000 users", interactions("ml-1m")[:2000], options.threads, options.repeat)]
        rows.append(timing("ML-20M shape, 1,000 users", few, options.threads, options.repeat))
        others = [row for row in results.get("time", []) if row["threads"] != options.threads]
        results["time"] = sorted([*others, *rows], key=lambda row: row["threads"])
        save("recvae", results)
    if "trajectory" in options.part:
        results["trajectory"] = trajectories("ml-latest-small", options.epochs, 100, (0, 1, 2), options.threads)
    save("recvae", results)
