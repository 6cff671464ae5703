"""H+Vamp (gated)."""

from __future__ import annotations

import torch
from torch import nn

from ..ops.topk import check_count
from ..ops.weights import check_number
from . import functional as F
from .base import Network, NeuralRecommender, Program, adam, batches, check_rate, check_share, kept, noisy, unit
from .encoders import Posterior, SparseLinear, sampled, start
from .functional import CsrTensors
from .training import Epoch

LOGVAR = (-12.0, 4.0)  # what log-variances are clipped to


class Gated(nn.Module):
    """(A h + a) * sigmoid(B h + b)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.both = nn.Linear(width, 2 * out)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The layer's output."""
        return gated(self.both(h))


def gated(both: torch.Tensor) -> torch.Tensor:
    """The first half times the sigmoid of the second."""
    return nn.functional.glu(both, dim=1)


class Normal(nn.Module):
    """Mean and clipped log-variance."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.both = nn.Linear(width, 2 * latent)

    def forward(self, h: torch.Tensor) -> Posterior:
        """Both, (users, latent) each."""
        mean, logvar = self.both(h).chunk(2, dim=1)
        return mean.float(), logvar.float().clamp(*LOGVAR)


def log_normal(z: torch.Tensor, mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Log-density of z less a constant, summed over coordinates."""
    return -0.5 * (logvar + (z - mean).square() * torch.exp(-logvar)).sum(-1)


class HVampNetwork(Network):
    """Two layers of latent variables; the first layers of both encoders are one, over a user's items."""

    def __init__(self, n_items: int, hidden: int, latent: int, pseudo: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, 4 * hidden)  # gated: half for z2, half for z1
        self.pseudo = nn.Parameter(torch.randn(pseudo, n_items) * 0.01 + 0.05)
        self.q2_second, self.q2 = Gated(hidden, hidden), Normal(hidden, latent)
        self.q1_z2, self.q1_joint, self.q1 = Gated(latent, hidden), Gated(2 * hidden, hidden), Normal(hidden, latent)
        self.p1_first, self.p1_second, self.p1 = Gated(latent, hidden), Gated(hidden, hidden), Normal(hidden, latent)
        self.x_z1, self.x_z2, self.x_joint = Gated(latent, hidden), Gated(latent, hidden), Gated(2 * hidden, hidden)
        self.decoder = nn.Parameter(torch.empty(n_items, hidden))
        self.bias = nn.Parameter(torch.empty(n_items))
        start(self.decoder, self.bias, hidden)

    def halves(self, x: CsrTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """The gated first layers for z2 and for z1, for rows of length one."""
        to_z2, to_z1 = self.first(x).chunk(2, dim=1)
        return gated(to_z2), gated(to_z1)

    def posterior2(self, half: torch.Tensor) -> Posterior:
        """Of q(z2|x)."""
        found: Posterior = self.q2(self.q2_second(half))
        return found

    def posterior1(self, half: torch.Tensor, z2: torch.Tensor) -> Posterior:
        """Of q(z1|x, z2)."""
        found: Posterior = self.q1(self.q1_joint(torch.cat([half, self.q1_z2(z2)], 1)))
        return found

    def prior1(self, z2: torch.Tensor) -> Posterior:
        """Of p(z1|z2)."""
        found: Posterior = self.p1(self.p1_second(self.p1_first(z2)))
        return found

    def prior2(self) -> Posterior:
        """Of every pseudo-input, whose mixture is the prior of z2; they are scaled to length one, as users are."""
        u = nn.functional.normalize(self.pseudo, dim=1, eps=1e-10)
        width = self.first.weight.shape[1] // 2
        return self.posterior2(gated(u @ self.first.weight[:, :width] + self.first.bias[:width]))

    def decoded(self, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
        """What the last layer is given."""
        last: torch.Tensor = self.x_joint(torch.cat([self.x_z1(z1), self.x_z2(z2)], 1))
        return last

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """The last hidden layer for the means of both posteriors."""
        half2, half1 = self.halves(unit(x))
        z2 = self.posterior2(half2)[0]
        return self.decoded(self.posterior1(half1, z2)[0], z2)

    def item_weights(self) -> list[nn.Parameter]:
        """The first layer and the last."""
        return [self.first.weight, self.decoder]


class HVamp(NeuralRecommender):
    """A variational autoencoder with two layers of latent variables, gated layers and a prior of pseudo-inputs.

    Parameters
    ----------
    hidden, latent : int, keyword-only
        Widths of the gated layers, and of both latent variables.
    pseudo_inputs : int
        Learned rows of items, whose posteriors are the prior of the upper variable.
    dropout : float
        Share of a user's items that the encoder does not see in training.
    beta, warm_up : float, int
        Weight of the divergence, which rises to it linearly within so many epochs (0: from the start).
    learning_rate, batch_size, epochs, patience, grace, slim_every, slim_l2, slim_alpha, slim_min_count, precision
        As in `RecVAE`.
    seed, num_threads, device
        As in `RecVAE`.

    Notes
    -----
    Kim and Suh, RecSys 2019; q(z2|x) q(z1|x, z2) p(z1|z2) p(x|z1, z2). Pseudo-inputs are dense rows over all items, and
    as many parameters. An unseen user is encoded as any other.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.HVamp(hidden=8, latent=2, pseudo_inputs=3, epochs=60, learning_rate=0.01).fit(X)
    >>> model.recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        hidden: int = 600,
        latent: int = 200,
        pseudo_inputs: int = 1000,
        dropout: float = 0.5,
        beta: float = 0.3,
        warm_up: int = 100,
        learning_rate: float = 5e-4,
        batch_size: int = 200,
        epochs: int = 200,
        patience: int | None = 50,
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
        self.hidden = hidden
        self.latent = latent
        self.pseudo_inputs = pseudo_inputs
        self.dropout = dropout
        self.beta = beta
        self.warm_up = warm_up
        self.learning_rate = learning_rate
        self._set_common(
            batch_size,
            epochs,
            patience,
            grace,
            slim_every,
            slim_l2,
            slim_alpha,
            slim_min_count,
            precision,
            seed,
            num_threads,
            device,
        )

    def _check(self) -> None:
        for name in ("hidden", "latent", "pseudo_inputs"):
            check_count(getattr(self, name), name)
        if self.warm_up != 0:
            check_count(self.warm_up, "warm_up")
        check_share(self.dropout, "dropout")
        check_number(self.beta, "beta", 0)
        check_rate(self.learning_rate)

    def _build(self, shape: tuple[int, int]) -> HVampNetwork:
        return HVampNetwork(shape[1], self.hidden, self.latent, self.pseudo_inputs)

    def _program(self, module: HVampNetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        optimizer = adam(module.parameters(), self.learning_rate)

        def run(epoch: Epoch) -> None:
            module.train()
            beta = self.beta * (min(1.0, epoch.number / self.warm_up) if self.warm_up else 1.0)
            for rows, x in batches(X, self.batch_size, generator):
                optimizer.zero_grad()
                with self.autocast():
                    nll, divergence = self._terms(module, x, kept(x, self.dropout, generator), generator)
                loss = (nll + beta * divergence).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                epoch.step(loss, len(rows))

        return Program(run, {"optimizer": optimizer}, -(-X.shape[0] // self.batch_size))

    def _terms(
        self, module: HVampNetwork, x: CsrTensors, mask: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood and divergence of every user, by one draw of both variables."""
        half2, half1 = module.halves(noisy(unit(x), self.dropout, mask))
        mean2, logvar2 = module.posterior2(half2)
        z2, _ = sampled(mean2, logvar2, generator)
        mean1, logvar1 = module.posterior1(half1, z2)
        z1, _ = sampled(mean1, logvar1, generator)
        parts = log_normal(z2[:, None], *(part[None] for part in module.prior2()))  # (users, pseudo-inputs)
        log_p2 = torch.logsumexp(parts, 1) - torch.log(torch.tensor(float(parts.shape[1])))
        log_p = log_normal(z1, *module.prior1(z2)) + log_p2
        log_q = log_normal(z1, mean1, logvar1) + log_normal(z2, mean2, logvar2)
        return F.linear_multinomial_nll(module.decoded(z1, z2).float(), module.decoder, module.bias, x), log_q - log_p
