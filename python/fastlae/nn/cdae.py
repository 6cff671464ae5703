"""CDAE."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from .._sparse import Csr
from ..models.vectors import Array
from ..ops.topk import check_count
from ..ops.weights import check_number
from . import functional as F
from .base import Network, NeuralRecommender, Program, adam, batches, check_rate, check_share, kept, noisy
from .encoders import start
from .functional import CsrTensors
from .training import Epoch

if TYPE_CHECKING:
    from typing_extensions import Self

UNSEEN = ("mean", "zero")
_PAIRS = 2**20  # numbers gathered at a time


class CDAENetwork(Network):
    """One hidden layer with a sigmoid, to which every user of the training adds a vector of its own."""

    def __init__(self, n_users: int, n_items: int, hidden: int, unseen: str) -> None:
        super().__init__()
        self.unseen = unseen
        self.weight = nn.Parameter(torch.empty(n_items, hidden))
        self.offset = nn.Parameter(torch.empty(hidden))
        start(self.weight, self.offset, n_items, xavier=True)
        self.users = nn.Embedding(n_users, hidden, sparse=True)
        nn.init.normal_(self.users.weight, std=0.01)
        self.decoder = nn.Parameter(torch.empty(n_items, hidden))
        self.bias = nn.Parameter(torch.empty(n_items))
        start(self.decoder, self.bias, hidden, xavier=True)

    def hidden(self, x: CsrTensors, own: torch.Tensor) -> torch.Tensor:
        """The hidden layer, `own` being the vectors of the users."""
        return torch.sigmoid(F.sparse_linear(x, self.weight, self.offset) + own)

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """The hidden layer for users that were not in the training."""
        own = self.users.weight.mean(0) if self.unseen == "mean" else torch.zeros_like(self.offset)
        return self.hidden(x, own)

    def item_weights(self) -> list[nn.Parameter]:
        """The first layer and the last."""
        return [self.weight, self.decoder]


class CDAE(NeuralRecommender):
    """A collaborative denoising autoencoder: one hidden layer, and a vector for every user of the training.

    ``z = sigmoid(W^T x + V_u + b)``, scores ``W' z + b'``; training minimises the logistic loss of a user's items and
    of sampled others.

    Parameters
    ----------
    hidden : int, keyword-only
        Width of the layer.
    dropout : float
        Share of a user's items that it does not see in training; the others are scaled up.
    negatives : int
        Other items sampled for each of a user's; those that the user has are left out.
    unseen : {"mean", "zero"}
        V_u of whoever was not in the training.
    weight_decay : float
        Of Adam, for a batch: divided by `batch_size`; users' vectors have none.
    learning_rate, batch_size, epochs, patience, grace, slim_every, slim_l2, slim_alpha, slim_min_count, precision
        As in `RecVAE`.
    seed, num_threads, device
        As in `RecVAE`.

    Notes
    -----
    Wu, DuBois, Zheng and Ester, WSDM 2016. A matrix in `score` and `recommend` is of unseen users, whatever their rows:
    they get the mean of the V_u, or zero. Users by id (``recommend(users=...)``) are those of the training, and get
    their own.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae.nn
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> model = fastlae.nn.CDAE(hidden=8, epochs=200, learning_rate=0.01).fit(X)
    >>> model.recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        hidden: int = 200,
        dropout: float = 0.5,
        negatives: int = 5,
        unseen: str = "mean",
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
        self.negatives = negatives
        self.unseen = unseen
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
        for name in ("hidden", "negatives"):
            check_count(getattr(self, name), name)
        if self.unseen not in UNSEEN:
            raise ValueError(f"unseen: expected one of {', '.join(map(repr, UNSEEN))}, got {self.unseen!r}")
        check_share(self.dropout, "dropout")
        check_number(self.weight_decay, "weight_decay", 0)
        check_rate(self.learning_rate)

    def _build(self, shape: tuple[int, int]) -> CDAENetwork:
        return CDAENetwork(*shape, self.hidden, self.unseen)

    def _program(self, module: CDAENetwork, X: CsrTensors, generator: torch.Generator) -> Program:
        shared = [p for name, p in module.named_parameters() if name != "users.weight"]
        optimizer = adam(shared, self.learning_rate, self.weight_decay / self.batch_size)
        users = torch.optim.SparseAdam([module.users.weight], lr=self.learning_rate)

        def run(epoch: Epoch) -> None:
            module.train()
            for rows, x in batches(X, self.batch_size, generator):
                optimizer.zero_grad()
                users.zero_grad()
                with self.autocast():
                    z = module.hidden(noisy(x, self.dropout, kept(x, self.dropout, generator)), module.users(rows))
                loss = self._loss(module, z.float(), x, generator)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                users.step()  # type: ignore[no-untyped-call]
                epoch.step(loss, len(rows))

        return Program(run, {"optimizer": optimizer, "user_optimizer": users}, -(-X.shape[0] // self.batch_size))

    def _loss(self, module: CDAENetwork, z: torch.Tensor, x: CsrTensors, generator: torch.Generator) -> torch.Tensor:
        """Logistic loss of a batch's items and of others, per user."""
        device, n_items = x.col.device, x.n_items
        row = torch.repeat_interleave(torch.arange(len(z), device=device), x.crow.diff())
        other_row = row.repeat_interleave(self.negatives)
        other = torch.randint(n_items, other_row.shape, generator=generator, device=device)
        own = row * n_items + x.col  # ascending
        drawn = other_row * n_items + other
        place = torch.searchsorted(own, drawn).clamp_max(max(0, len(own) - 1))
        stranger = own[place] != drawn if len(own) else torch.ones_like(drawn, dtype=torch.bool)
        rows = torch.cat([row, other_row[stranger]])
        items = torch.cat([x.col.to(torch.int64), other[stranger]])
        logits = _PairProducts.apply(z, module.decoder, rows, items) + module.bias[items]  # type: ignore[no-untyped-call]
        target = torch.zeros_like(logits)
        target[: len(row)] = 1
        weight = torch.cat([x.values, torch.ones_like(logits[len(row) :])])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
        return loss / len(z)

    def _without_users(self) -> Self:
        self._check_fitted("module_")
        bare = copy.copy(self)
        bare.module_ = copy.deepcopy(self.module_)
        assert isinstance(bare.module_, CDAENetwork)
        mean = bare.module_.users.weight.detach().mean(0, keepdim=True)  # as much of them as strangers are given
        bare.module_.users = nn.Embedding(1, mean.shape[1], sparse=True)
        bare.module_.users.weight.data = mean
        bare._shape = (1, self._shape[1])
        return bare

    def _rows_of(self, X: Any, users: Any) -> tuple[Any, NDArray[Any] | None]:
        rows, ids = super()._rows_of(X, users)
        if users is not None:
            rows = _TrainedRows(*rows)
            rows.users = self._known().user_positions(users)
        return rows, ids

    def _csr(self, X: Any, name: str = "X") -> Csr:
        csr = super()._csr(X, name)
        if isinstance(X, _TrainedRows):
            csr = _TrainedRows(*csr)
            csr.users = X.users
        return csr

    def _vectors(self, X: Csr) -> Array:
        if not isinstance(X, _TrainedRows):
            return super()._vectors(X)
        module = self.module_
        assert isinstance(module, CDAENetwork)
        place = module.decoder.device
        with torch.no_grad():
            own = module.users.weight[torch.from_numpy(X.users).to(place)]
            return module.hidden(F.csr_tensors(Csr(*X), device=place), own).float().cpu().numpy()


class _TrainedRows(Csr):
    """Rows of users of the training, with their positions."""

    users: NDArray[Any]


class _PairProducts(torch.autograd.Function):
    """left[row] . right[item] for many pairs, of which some are gathered at a time."""

    @staticmethod
    def forward(
        ctx: Any, left: torch.Tensor, right: torch.Tensor, rows: torch.Tensor, items: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(left, right, rows, items)
        out = left.new_empty(len(rows))
        for part in _pieces(len(rows), left.shape[1]):
            out[part] = (left[rows[part]] * right[items[part]]).sum(1)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        left, right, rows, items = ctx.saved_tensors
        to_left, to_right = torch.zeros_like(left), torch.zeros_like(right)
        for part in _pieces(len(rows), left.shape[1]):
            row, item, g = rows[part], items[part], grad[part, None]
            to_left.index_add_(0, row, g * right[item])
            to_right.index_add_(0, item, g * left[row])
        return to_left, to_right, None, None


def _pieces(count: int, width: int) -> list[slice]:
    step = max(1, _PAIRS // max(1, width))
    return [slice(begin, begin + step) for begin in range(0, count, step)]
