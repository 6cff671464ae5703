"""RaCT."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from .._threads import resolve_threads
from ..ops.factors import recommend_factors_checked
from ..ops.topk import check_count
from . import functional as F
from .autoencoders import MultVAE, MultVAENetwork
from .base import Program, adam, batches, check_rate, kept, noisy, unit
from .encoders import sampled, standard_kl
from .functional import CsrTensors
from .training import Epoch


class Critic(nn.Module):
    """From numbers of kept and masked items and the loss of a user to the ranking quality that is to be expected."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, affine=False)
        widths = (3, 100, 100, 10, 1)
        layers: list[nn.Module] = []
        for width, out in itertools.pairwise(widths):
            layers += [nn.Linear(width, out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def forward(self, kept_items: torch.Tensor, masked: torch.Tensor, nll: torch.Tensor) -> torch.Tensor:
        """NDCG, (users,)."""
        found: torch.Tensor = self.layers(self.norm(torch.stack([kept_items, masked, nll], 1)))[:, 0]
        return found


class RaCT(MultVAE):
    """`MultVAE` trained on to please a critic, which has learned to foresee NDCG@100 from the loss.

    Epochs are cut in three: the actor, a Mult-VAE, is trained as such; then a critic, from the number of a user's kept
    and masked items and the loss, to the NDCG@100 of the masked items; then both, the actor to raise what the critic
    foresees.

    Parameters
    ----------
    actor_epochs, critic_epochs : int, keyword-only
        Of the first two parts; the others of `epochs` are the third.
    critic_rate, joint_rate : float
        Learning rates of the critic, and of the actor in the third part.
    hidden, latent, dropout, beta, anneal_epochs, learning_rate
        As in `MultVAE`.
    batch_size, epochs, patience, grace, slim_every, slim_l2, slim_alpha, slim_min_count, precision
        As in `RecVAE`; the score does not change while the critic alone is trained, so that `patience` must be longer.
    seed, num_threads, device
        As in `RecVAE`.

    Notes
    -----
    Lobel, Li, Gao and Carin, ICLR 2020 (2019 as a preprint). Batches of one user are passed over by the critic, whose
    inputs are normalised over the batch.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.RaCT(hidden=8, latent=2, actor_epochs=60, critic_epochs=2, epochs=64, learning_rate=0.01)
    >>> model.fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        actor_epochs: int = 100,
        critic_epochs: int = 50,
        critic_rate: float = 1e-4,
        joint_rate: float = 2e-6,
        hidden: int = 600,
        latent: int = 200,
        dropout: float = 0.5,
        beta: float = 0.2,
        anneal_epochs: int = 100,
        learning_rate: float = 1e-3,
        batch_size: int = 500,
        epochs: int = 200,
        patience: int | None = None,
        grace: int = 1,
        slim_every: int = 0,
        slim_l2: float = 500.0,
        slim_alpha: float = 1.0,
        slim_min_count: float = 0,
        precision: str = "float32",
        seed: int = 0,
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            latent=latent,
            dropout=dropout,
            beta=beta,
            anneal_epochs=anneal_epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            epochs=epochs,
            patience=patience,
            grace=grace,
            slim_every=slim_every,
            slim_l2=slim_l2,
            slim_alpha=slim_alpha,
            slim_min_count=slim_min_count,
            precision=precision,
            seed=seed,
            num_threads=num_threads,
            device=device,
        )
        self.actor_epochs = actor_epochs
        self.critic_epochs = critic_epochs
        self.critic_rate = critic_rate
        self.joint_rate = joint_rate

    def _check(self) -> None:
        super()._check()
        for name in ("actor_epochs", "critic_epochs"):
            check_count(getattr(self, name), name)
        for name in ("critic_rate", "joint_rate"):
            check_rate(getattr(self, name), name)
        if self.dropout == 0:
            raise ValueError("dropout: expected more than 0, as the critic foresees the ranking of masked items")

    def _program(self, module: MultVAENetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        actor = super()._program(module, X, generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seed) + 1)
            critic = Critic().to(X.crow.device)
        critic_optimizer = adam(critic.parameters(), self.critic_rate)
        joint_optimizer = adam(module.parameters(), self.joint_rate)

        def run(epoch: Epoch) -> None:
            if epoch.number <= self.actor_epochs:
                actor.run(epoch)
                return
            module.train()
            joint = epoch.number > self.actor_epochs + self.critic_epochs
            for rows, x in batches(X, self.batch_size, generator):
                if len(rows) == 1:
                    continue
                loss = self._critic_step(module, critic, critic_optimizer, x, generator)
                epoch.step(loss, len(rows), "critic_loss")
                if joint:
                    loss = self._joint_step(module, critic, joint_optimizer, x, generator)
                    epoch.step(loss, len(rows))

        parts = {**actor.parts, "critic": critic, "critic_optimizer": critic_optimizer}
        return Program(run, {**parts, "joint_optimizer": joint_optimizer}, actor.steps)

    def _critic_step(
        self, module: MultVAENetwork, critic: Critic, optimizer: Any, x: CsrTensors, generator: torch.Generator
    ) -> torch.Tensor:
        """Squared error of what is foreseen."""
        mask = kept(x, self.dropout, generator)
        assert mask is not None
        critic.train()
        with torch.no_grad():
            vectors, nll, _ = self._actor(module, x, mask, generator)
            quality = self._ndcg(module, vectors, x, mask)
        optimizer.zero_grad()
        loss: torch.Tensor = (critic(*_counts(x, mask), nll) - quality).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    def _joint_step(
        self, module: MultVAENetwork, critic: Critic, optimizer: Any, x: CsrTensors, generator: torch.Generator
    ) -> torch.Tensor:
        """Raise what the critic foresees, through the loss that it is told."""
        mask = kept(x, self.dropout, generator)
        assert mask is not None
        critic.eval()
        optimizer.zero_grad()
        _, nll, divergence = self._actor(module, x, mask, generator)
        loss: torch.Tensor = -critic(*_counts(x, mask), nll + self.beta * divergence).mean()
        loss.backward(inputs=list(module.parameters()))  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    def _actor(
        self, module: MultVAENetwork, x: CsrTensors, mask: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors, loss and divergence of every user."""
        with self.autocast():
            mean, logvar = module.encoder(noisy(unit(x), self.dropout, mask))
            mean, logvar = mean.float(), logvar.float()
            vectors = module.decoded(sampled(mean, logvar, generator)[0])
            nll = F.linear_multinomial_nll(vectors, module.decoder, module.bias, x)
        return vectors.float(), nll, standard_kl(mean, logvar)

    def _ndcg(self, module: MultVAENetwork, vectors: torch.Tensor, x: CsrTensors, mask: torch.Tensor) -> torch.Tensor:
        """NDCG@100 of the masked items among all that were not shown; 0 for users without."""
        row = torch.repeat_interleave(torch.arange(len(vectors), device=x.col.device), x.crow.diff())
        shown = torch.zeros(len(vectors) + 1, dtype=torch.int64)
        shown[1:] = torch.cumsum(torch.bincount(row[mask], minlength=len(vectors)).cpu(), 0)
        seen = shown.numpy(), x.col[mask].cpu().numpy()
        factors = [t.detach().float().cpu().contiguous().numpy() for t in (vectors, module.decoder, module.bias)]
        top, _ = recommend_factors_checked(
            factors[0], factors[1], 100, factors[2], seen, None, resolve_threads(self.num_threads)
        )
        masked = (row[~mask] * x.n_items + x.col[~mask]).cpu().numpy()
        found = np.isin(np.where(top < 0, -1, top + np.arange(len(top))[:, None] * x.n_items), masked)
        discount = 1 / np.log2(np.arange(2, 102))
        count = np.minimum(torch.bincount(row[~mask], minlength=len(vectors)).cpu().numpy(), 100)
        best = np.concatenate([[0.0], np.cumsum(discount)])[count]
        ndcg = (found * discount).sum(1) / np.where(best > 0, best, 1)
        return torch.from_numpy(ndcg.astype(np.float32)).to(vectors.device)


def _counts(x: CsrTensors, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept and masked items of every user."""
    row = torch.repeat_interleave(torch.arange(x.shape[0], device=x.col.device), x.crow.diff())
    shown = torch.bincount(row[mask], minlength=x.shape[0]).float()
    return shown, x.crow.diff().float() - shown
