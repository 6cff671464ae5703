"""Mult-VAE and Mult-DAE."""

from __future__ import annotations

import torch
from torch import nn

from ..ops.topk import check_count
from ..ops.weights import check_number
from . import functional as F
from .base import Network, NeuralRecommender, Program, adam, batches, check_rate, check_share, kept, noisy, unit
from .encoders import SparseLinear, TanhEncoder, sampled, standard_kl, start
from .functional import CsrTensors
from .training import Epoch


class MultVAENetwork(Network):
    """Encoder, and a decoder of one hidden layer with tanh."""

    def __init__(self, n_items: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = TanhEncoder(n_items, hidden, latent)
        self.hidden = nn.Linear(latent, hidden)
        start(self.hidden.weight, self.hidden.bias, latent, xavier=True)
        self.decoder = nn.Parameter(torch.empty(n_items, hidden))
        self.bias = nn.Parameter(torch.empty(n_items))
        start(self.decoder, self.bias, hidden, xavier=True)

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """The hidden layer for the mean of the posterior."""
        return self.decoded(self.encoder(unit(x))[0])

    def decoded(self, z: torch.Tensor) -> torch.Tensor:
        """What the last layer is given."""
        return torch.tanh(self.hidden(z))

    def item_weights(self) -> list[nn.Parameter]:
        """The first layer and the last."""
        return [self.encoder.first.weight, self.decoder]


class MultVAE(NeuralRecommender):
    """A variational autoencoder with a multinomial likelihood.

    A user's items, normalised to length one and half of them dropped, are encoded into a normal distribution; a draw z
    of it goes through a layer with tanh, a linear one and a softmax over the items. Training maximises
    ``sum_i x_i log softmax_i - beta KL(q(z|x) || N(0, I))``, beta rising linearly to its final value.

    Parameters
    ----------
    hidden, latent : int, keyword-only
        Widths of the layers beside the items, and of z.
    dropout : float
        Share of a user's items that the encoder does not see in training.
    beta : float
        Final weight of the divergence.
    anneal_epochs : int
        Epochs after which beta has its final value; 0: from the start.
    learning_rate, batch_size, epochs, patience, grace, slim_every, slim_l2, slim_alpha, slim_min_count, precision
        As in `RecVAE`.
    seed, num_threads, device
        As in `RecVAE`.

    Notes
    -----
    Liang, Krishnan, Hoffman and Jebara, WWW 2018. An unseen user is encoded as any other.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.MultVAE(hidden=8, latent=2, epochs=60, learning_rate=0.01).fit(X)
    >>> model.recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
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
        self.hidden = hidden
        self.latent = latent
        self.dropout = dropout
        self.beta = beta
        self.anneal_epochs = anneal_epochs
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
        for name in ("hidden", "latent"):
            check_count(getattr(self, name), name)
        if self.anneal_epochs != 0:
            check_count(self.anneal_epochs, "anneal_epochs")
        check_share(self.dropout, "dropout")
        check_number(self.beta, "beta", 0)
        check_rate(self.learning_rate)

    def _build(self, shape: tuple[int, int]) -> MultVAENetwork:
        return MultVAENetwork(shape[1], self.hidden, self.latent)

    def _program(self, module: MultVAENetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        optimizer = adam(module.parameters(), self.learning_rate)
        steps = -(-X.shape[0] // self.batch_size)

        def run(epoch: Epoch) -> None:
            module.train()
            for step, (rows, x) in enumerate(batches(X, self.batch_size, generator)):
                optimizer.zero_grad()
                with self.autocast():
                    mean, logvar = module.encoder(noisy(unit(x), self.dropout, kept(x, self.dropout, generator)))
                    mean, logvar = mean.float(), logvar.float()
                    z, _ = sampled(mean, logvar, generator)
                    nll = F.linear_multinomial_nll(module.decoded(z), module.decoder, module.bias, x)
                done = epoch.number - 1 + step / steps
                beta = self.beta * (min(1.0, done / self.anneal_epochs) if self.anneal_epochs else 1.0)
                loss = (nll + beta * standard_kl(mean, logvar)).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                epoch.step(loss, len(rows))

        return Program(run, {"optimizer": optimizer}, steps)


class MultDAENetwork(Network):
    """One hidden layer with tanh."""

    def __init__(self, n_items: int, hidden: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden, xavier=True)
        self.decoder = nn.Parameter(torch.empty(n_items, hidden))
        self.bias = nn.Parameter(torch.empty(n_items))
        start(self.decoder, self.bias, hidden, xavier=True)

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """The hidden layer."""
        return self.hidden(unit(x))

    def hidden(self, x: CsrTensors) -> torch.Tensor:
        """The hidden layer for rows of length one."""
        return torch.tanh(self.first(x))

    def item_weights(self) -> list[nn.Parameter]:
        """The first layer and the last."""
        return [self.first.weight, self.decoder]


class MultDAE(NeuralRecommender):
    """A denoising autoencoder with a multinomial likelihood: items, tanh, softmax over the items.

    Parameters
    ----------
    hidden : int, keyword-only
        Width of the layer between.
    dropout : float
        Share of a user's items that it does not see in training.
    weight_decay : float
        Of Adam, for a batch: divided by `batch_size`.
    learning_rate, batch_size, epochs, patience, grace, slim_every, slim_l2, slim_alpha, slim_min_count, precision
        As in `RecVAE`.
    seed, num_threads, device
        As in `RecVAE`.

    Notes
    -----
    Liang, Krishnan, Hoffman and Jebara, WWW 2018. An unseen user is encoded as any other.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.MultDAE(hidden=8, epochs=60, learning_rate=0.01).fit(X)
    >>> model.recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        hidden: int = 200,
        dropout: float = 0.5,
        weight_decay: float = 0.01,
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
        self.hidden = hidden
        self.dropout = dropout
        self.weight_decay = weight_decay
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
        check_count(self.hidden, "hidden")
        check_share(self.dropout, "dropout")
        check_number(self.weight_decay, "weight_decay", 0)
        check_rate(self.learning_rate)

    def _build(self, shape: tuple[int, int]) -> MultDAENetwork:
        return MultDAENetwork(shape[1], self.hidden)

    def _program(self, module: MultDAENetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        optimizer = adam(module.parameters(), self.learning_rate, self.weight_decay / self.batch_size)

        def run(epoch: Epoch) -> None:
            module.train()
            for rows, x in batches(X, self.batch_size, generator):
                optimizer.zero_grad()
                with self.autocast():
                    h = module.hidden(noisy(unit(x), self.dropout, kept(x, self.dropout, generator)))
                    loss = F.linear_multinomial_nll(h, module.decoder, module.bias, x).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                epoch.step(loss, len(rows))

        return Program(run, {"optimizer": optimizer}, -(-X.shape[0] // self.batch_size))
