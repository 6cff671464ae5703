"""RecVAE."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from ..ops.topk import check_count
from ..ops.weights import check_number
from . import functional as F
from .base import Network, NeuralRecommender, Program, adam, batches, check_rate, check_share, kept, noisy, unit
from .encoders import DenselyConnectedEncoder, Posterior, TanhEncoder, sampled, standard_kl, start
from .functional import CsrTensors
from .training import Epoch

_CACHE = 2**27  # numbers of posteriors that are kept between steps: half a gigabyte


class RecVAENetwork(Network):
    """Encoder and linear decoder."""

    def __init__(self, n_items: int, encoder: nn.Module, latent: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = nn.Parameter(torch.empty(n_items, latent))
        self.bias = nn.Parameter(torch.empty(n_items))
        start(self.decoder, self.bias, latent)

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """Means of the posterior."""
        mean: torch.Tensor = self.encoder(unit(x))[0]
        return mean

    def item_weights(self) -> list[nn.Parameter]:
        """The encoder's first layer and the decoder."""
        return [self.encoder.first.weight, self.decoder]  # type: ignore[union-attr,list-item]


class RecVAE(NeuralRecommender):
    """A variational autoencoder with a composite prior, trained by alternating between encoder and decoder.

    A user's items, normalised to length one and half of them dropped, are encoded into a normal distribution; a draw z
    of it is decoded by one linear layer and a softmax over the items. The encoder maximises
    ``sum_i x_i log softmax(W z + b)_i - beta(x) (log q(z|x) - log p(z|x))`` with ``beta(x) = gamma sum_i x_i``, the
    decoder the first term alone, without noise in what it is given.

    Parameters
    ----------
    hidden, latent : int, keyword-only
        Widths of the encoder's layers, and of z.
    dropout : float
        Share of a user's items that the encoder does not see in training.
    gamma : float
        Of beta(x).
    beta : float
        The constant that takes the place of beta(x) where ``user_beta=False``.
    prior_weights : three floats
        Of the standard normal, the posterior of the epoch before, and a wide normal.
    wide_logvar : float
        Log-variance of the wide one.
    per_coordinate : bool
        Mix densities of every coordinate, as the paper's authors do; False mixes joint densities, as printed in (17).
    dense_encoder, composite_prior, user_beta, alternating, clean_decoder : bool
        What the paper adds to Mult-VAE, of which each can be left out (its Table 2): the encoder with dense
        connections, else one hidden layer with tanh; the prior, else the standard normal; beta(x), else beta;
        alternating steps, else one step on all weights together; no noise for the decoder, else the same noise.
    encoder_passes, decoder_passes : int
        Over the users in an epoch of alternating training (without it there is one).
    learning_rate : float
        Of Adam, one each for encoder and decoder.
    batch_size, epochs : int
        Users per step; at most so many epochs.
    patience, grace : int or None
        With validation: end after so many epochs without a better score, of which `grace` after every ImplicitSLIM
        refresh do not count. None: all epochs.
    slim_every : int
        Every so many epochs the encoder's first layer and the decoder go through `fastlae.ops.implicit_slim`; 0: never.
    slim_l2, slim_alpha, slim_min_count : float
        Of it.
    precision : {"float32", "bfloat16"}
        Of matrix products in training (torch's autocast).
    seed : int
        Of all random numbers; torch's own generators are left alone.
    num_threads : int
        0 means all that the process may use.
    device : None, "cpu" or "cuda"
        Where training runs; recommending takes user vectors from there and ranks on the CPU.

    Notes
    -----
    Shenbin, Alekseev, Tutubalina, Malykh and Nikolenko, WSDM 2020; widths, rates and the encoder's details from the
    authors' code. With ImplicitSLIM (Shenbin and Nikolenko, ICLR 2024): slim_every 10, latent 400. An encoder step
    computes no gradient of the decoder, a decoder step none of the encoder and no prior. The first layer touches a
    user's items only, and scores of all items for a batch are never held at once. A user without items has the
    posterior of an empty row, and costs nothing. On a CPU, in float32, the weights are the same, bit by bit, for any
    number of threads.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.RecVAE(hidden=8, latent=2, epochs=60, learning_rate=0.01, seed=1).fit(X)
    >>> model.recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        hidden: int = 600,
        latent: int = 200,
        dropout: float = 0.5,
        gamma: float = 0.005,
        beta: float = 0.2,
        prior_weights: Any = (3 / 20, 3 / 4, 1 / 10),
        wide_logvar: float = 10.0,
        per_coordinate: bool = True,
        dense_encoder: bool = True,
        composite_prior: bool = True,
        user_beta: bool = True,
        alternating: bool = True,
        clean_decoder: bool = True,
        encoder_passes: int = 3,
        decoder_passes: int = 1,
        learning_rate: float = 5e-4,
        batch_size: int = 500,
        epochs: int = 50,
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
        self.hidden = hidden
        self.latent = latent
        self.dropout = dropout
        self.gamma = gamma
        self.beta = beta
        self.prior_weights = prior_weights
        self.wide_logvar = wide_logvar
        self.per_coordinate = per_coordinate
        self.dense_encoder = dense_encoder
        self.composite_prior = composite_prior
        self.user_beta = user_beta
        self.alternating = alternating
        self.clean_decoder = clean_decoder
        self.encoder_passes = encoder_passes
        self.decoder_passes = decoder_passes
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
        for name in ("hidden", "latent", "encoder_passes", "decoder_passes"):
            check_count(getattr(self, name), name)
        check_share(self.dropout, "dropout")
        for name in ("gamma", "beta"):
            check_number(getattr(self, name), name, 0)
        check_number(self.wide_logvar, "wide_logvar")
        check_rate(self.learning_rate)
        weights = [float(w) for w in self.prior_weights]
        if len(weights) != 3 or not all(w > 0 for w in weights) or abs(sum(weights) - 1) > 1e-6:
            raise ValueError(f"prior_weights: expected three positive numbers that add up to 1, got {weights}")

    def _build(self, shape: tuple[int, int]) -> RecVAENetwork:
        kind = DenselyConnectedEncoder if self.dense_encoder else TanhEncoder
        return RecVAENetwork(shape[1], kind(shape[1], self.hidden, self.latent), self.latent)

    def _program(self, module: RecVAENetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        trainer = _Alternation(self, module, X, generator)
        parts: dict[str, Any] = {
            "encoder_optimizer": trainer.encoder_optimizer,
            "decoder_optimizer": trainer.decoder_optimizer,
        }
        if self.composite_prior:
            parts["prior"] = trainer.prior
        steps = -(-X.shape[0] // self.batch_size)
        passes = self.encoder_passes + self.decoder_passes if self.alternating else 1
        return Program(trainer.epoch, parts, steps * passes)


class _Alternation:
    """Algorithm 1."""

    def __init__(self, model: RecVAE, module: RecVAENetwork, X: CsrTensors, generator: torch.Generator) -> None:
        self.model, self.module, self.X, self.generator = model, module, X, generator
        self.encoder_optimizer = adam(module.encoder.parameters(), model.learning_rate)
        self.decoder_optimizer = adam((module.decoder, module.bias), model.learning_rate)
        self.prior: nn.Module = copy.deepcopy(module.encoder).requires_grad_(False)
        self.prior_weights = tuple(float(w) for w in model.prior_weights)
        self.old: Posterior | None = None
        users = torch.repeat_interleave(torch.arange(X.shape[0], device=X.crow.device), X.crow.diff())
        self.totals = X.values.new_zeros(X.shape[0]).index_add_(0, users, X.values)

    def epoch(self, epoch: Epoch) -> None:
        """Encoder, prior, decoder."""
        model = self.model
        self.module.train()
        if self.old is None and model.composite_prior:  # the first epoch, or the first after a checkpoint
            self.old = self._posteriors()
        for _ in range(model.encoder_passes if model.alternating else 1):
            for rows, x in batches(self.X, model.batch_size, self.generator):
                self._encoder_step(rows, x, epoch)
        if model.composite_prior:
            self.prior.load_state_dict(self.module.encoder.state_dict())
            self.old = self._posteriors()
        for _ in range(model.decoder_passes if model.alternating else 0):
            for rows, x in batches(self.X, model.batch_size, self.generator):
                self._decoder_step(rows, x, epoch)

    def _encoder_step(self, rows: torch.Tensor, x: CsrTensors, epoch: Epoch) -> None:
        model, module = self.model, self.module
        self.encoder_optimizer.zero_grad()
        self.decoder_optimizer.zero_grad()
        with model.autocast():
            clean = unit(x)
            mean, logvar = module.encoder(noisy(clean, model.dropout, kept(x, model.dropout, self.generator)))
            mean, logvar = mean.float(), logvar.float()
            z, noise = sampled(mean, logvar, self.generator)
            divergence = self._divergence(rows, clean, z, noise, mean, logvar)
            weight, bias = module.decoder, module.bias
            if model.alternating:
                weight, bias = weight.detach(), bias.detach()  # type: ignore[assignment]
            nll = F.linear_multinomial_nll(z, weight, bias, x)
        beta = model.gamma * self.totals[rows] if model.user_beta else model.beta
        loss = (nll + beta * divergence).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.encoder_optimizer.step()
        if not model.alternating:
            self.decoder_optimizer.step()
        epoch.step(loss, len(rows))

    def _decoder_step(self, rows: torch.Tensor, x: CsrTensors, epoch: Epoch) -> None:
        model, module = self.model, self.module
        self.decoder_optimizer.zero_grad()
        with torch.no_grad(), model.autocast():
            if model.clean_decoder and self.old is not None:  # the prior is the encoder now
                mean, logvar = self.old[0][rows], self.old[1][rows]
            else:
                dropout = 0.0 if model.clean_decoder else model.dropout
                mean, logvar = module.encoder(noisy(unit(x), dropout, kept(x, dropout, self.generator)))
            z, _ = sampled(mean.float(), logvar.float(), self.generator)
        with model.autocast():
            loss = F.linear_multinomial_nll(z, module.decoder, module.bias, x).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.decoder_optimizer.step()
        epoch.step(loss, len(rows), "decoder_loss")

    def _divergence(
        self, rows: torch.Tensor, x: CsrTensors, z: torch.Tensor, noise: torch.Tensor, mean: torch.Tensor, logvar: Any
    ) -> torch.Tensor:
        """Log q(z|x) - log p(z|x), of one draw; in closed form for the standard normal."""
        if not self.model.composite_prior:
            return standard_kl(mean, logvar)
        if self.old is not None:
            old_mean, old_logvar = self.old[0][rows], self.old[1][rows]
        else:
            with torch.no_grad():
                old_mean, old_logvar = (part.float() for part in self.prior(x))
        prior = F.composite_prior_logpdf(
            z,
            old_mean,
            old_logvar,
            weights=self.prior_weights,
            wide_logvar=self.model.wide_logvar,
            per_coordinate=self.model.per_coordinate,
        )
        # As z = mean + sigma noise, the density of z under q depends on sigma and the noise alone.
        constant = z.shape[1] * math.log(2 * math.pi)
        posterior = -0.5 * (logvar.sum(1) + noise.square().sum(1) + constant)
        difference: torch.Tensor = posterior - prior
        return difference

    @torch.no_grad()
    def _posteriors(self) -> Posterior | None:
        """What the prior says of every user: the same in all passes until it changes. None if that is too much."""
        users = self.X.shape[0]
        if 2 * users * self.model.latent > _CACHE:
            return None
        parts = []
        for begin in range(0, users, 4 * self.model.batch_size):
            rows = torch.arange(begin, min(begin + 4 * self.model.batch_size, users), device=self.X.crow.device)
            with self.model.autocast():
                parts.append(self.prior(unit(self.X.take(rows))))
        return torch.cat([mean for mean, _ in parts]).float(), torch.cat([logvar for _, logvar in parts]).float()
