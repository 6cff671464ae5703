"""What the neural recommenders share: a torch module behind the interface of every other model."""

from __future__ import annotations

import contextlib
import copy
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _memory
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..evaluation import evaluate
from ..models.base import is_vector, plain
from ..models.vectors import Array, VectorModel
from ..ops.topk import check_count
from ..ops.weights import check_number
from .functional import CsrTensors, csr_tensors
from .implicit_slim import ImplicitSLIMRefresh
from .training import Epoch, History, train

if TYPE_CHECKING:
    from typing_extensions import Self

PRECISIONS = ("float32", "bfloat16")
_BLOCK = 2048  # users whose vectors are computed at a time
# What may change between the runs of one checkpoint.
_FREE = ("epochs", "patience", "grace", "num_threads", "device")


class Network(torch.nn.Module):
    """A module with one vector per user, scored against a row per item: logits = vectors @ decoder^T + bias.

    Attributes
    ----------
    decoder : torch.nn.Parameter, (items, dim)
    bias : torch.nn.Parameter, (items,)
    """

    decoder: torch.nn.Parameter
    bias: torch.nn.Parameter

    def vectors(self, x: CsrTensors) -> torch.Tensor:
        """What `decoder` is multiplied by for these users, (users, dim), without noise."""
        raise NotImplementedError

    def item_weights(self) -> list[torch.nn.Parameter]:
        """Weights with a row per item, which ImplicitSLIM may refresh."""
        return [self.decoder]


class Program(NamedTuple):
    """How a network is trained: what an epoch does, all that changes in it, and the number of steps it makes."""

    run: Callable[[Epoch], None]
    parts: dict[str, Any]
    steps: int


class NeuralRecommender(VectorModel):
    """What the neural models share; use one of the subclasses.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network, in evaluation mode.
    item_embeddings_, bias_ : ndarray
        Weight (items, dim) and bias (items,) of its last layer.
    item_counts_ : ndarray of float64, (items,)
        Users of every item; an item with 0 is never recommended.
    history_ : list of dict
        Figures of every epoch: losses, seconds, users per second, the validation score.
    """

    module_: Network
    history_: History

    batch_size: int
    epochs: int
    patience: int | None
    grace: int
    slim_every: int
    slim_l2: float
    slim_alpha: float
    slim_min_count: float
    precision: str
    seed: int
    device: str | None

    # What a subclass defines.

    @abstractmethod
    def _check(self) -> None:
        """Refuse hyperparameters that make no sense."""

    @abstractmethod
    def _build(self, shape: tuple[int, int]) -> Network:
        """The network for so many users and items; its random numbers come from torch's global generator."""

    @abstractmethod
    def _program(self, module: Any, X: CsrTensors, generator: torch.Generator) -> Program:
        """How to train it; every random number comes from `generator`."""

    # What is shared.

    def _set_common(
        self,
        batch_size: int,
        epochs: int,
        patience: int | None,
        grace: int,
        slim_every: int,
        slim_l2: float,
        slim_alpha: float,
        slim_min_count: float,
        precision: str,
        seed: int,
        num_threads: int,
        device: str | None,
    ) -> None:
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.grace = grace
        self.slim_every = slim_every
        self.slim_l2 = slim_l2
        self.slim_alpha = slim_alpha
        self.slim_min_count = slim_min_count
        self.precision = precision
        self.seed = seed
        self.num_threads = num_threads
        self.device = device

    def fit(
        self,
        X: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        metric: str = "ndcg",
        k: int = 100,
        callback: Callable[[Any], bool | None] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Learn from interactions, epoch by epoch.

        Parameters
        ----------
        X : Interactions, or sparse matrix, (users, items)
            Finite, non-negative values.
        validation : (fold_in, held_out), optional
            Interactions of other users, of whom `fold_in` is shown: the epoch with the best `metric` of recommending
            what is held out is kept, and training ends after `patience` epochs without a better one. Without, the last
            epoch is kept.
        metric, k : str, int
            See `fastlae.evaluation.evaluate`.
        callback : function, optional
            Called after every epoch with the model as it is then, which the next epoch changes (``history_`` has the
            figures so far); returning True ends the training there.
        checkpoint : path-like, optional
            A file that is written after every epoch. If it is there, training goes on from it, with the same result as
            if it had never stopped (bit by bit on a CPU with the same number of threads).

        Returns
        -------
        self

        Raises
        ------
        ModelFileError
            If the checkpoint belongs to another architecture, other hyperparameters or other data; it names which.
        FloatingPointError
            If a loss is no longer a finite number.
        """
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            raise TypeError("validation: expected a pair (fold_in, held_out)")
        self._watch = (validation, metric, check_count(k, "k"), callback, checkpoint)
        try:
            return super().fit(X)
        finally:
            self.__dict__.pop("_watch", None)

    def _check_common(self) -> torch.device:
        for name in ("batch_size", "epochs"):
            check_count(getattr(self, name), name)
        if self.slim_every != 0:
            check_count(self.slim_every, "slim_every")
        for name in ("slim_l2", "slim_alpha"):
            check_number(getattr(self, name), name, 0)
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(map(repr, PRECISIONS))}, got {self.precision!r}")
        if isinstance(self.seed, bool) or not hasattr(self.seed, "__index__") or not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected a whole number of at least 0, got {self.seed!r}")
        return _device(self.device)

    def _fit(self, X: Any) -> None:
        validation, metric, k, callback, checkpoint = self._watch
        device = self._check_common()
        self._check()
        csr = as_csr(X, dtype=np.float32, nonnegative=True)
        if not csr.nnz:
            raise ValueError(f"X: expected interactions, got none in a matrix of shape {csr.shape}")
        with torch_threads(self.num_threads):
            if device.type == "cpu":
                with torch.device("meta"):  # shapes without memory
                    numbers = sum(p.numel() for p in self._made(csr.shape).parameters())
                # Parameters, their gradients and Adam's two moments, the best state, and the interactions.
                needed = 20 * numbers + 40 * csr.nnz
                _memory.require(needed, f"a network of {numbers:,} numbers", "Narrower layers need less.")
            module = self._made(csr.shape).to(device)
            generator = torch.Generator(device).manual_seed(int(self.seed))
            program = self._program(module, csr_tensors(csr, device=device), generator)
            parts = {"module": module, "generator": generator, **program.parts}
            refresh = self._refresh(module, X)
            if refresh is not None:
                parts["refresh"] = refresh

            own = {k: v for k, v in self.__dict__.items() if not (k.startswith("_") or k.endswith("_"))}
            counts = csr.item_counts()
            now = type(self)(**self.get_params())  # the model as it is after an epoch
            now.__dict__ |= {"module_": module, "item_counts_": counts, "_shape": csr.shape}
            if isinstance(X, Interactions):
                now.interactions_ = X._without_timestamps()

            def score() -> float:
                assert validation is not None
                found = evaluate(now, *validation, k=k, metrics=metric, protocol="strong", num_threads=self.num_threads)
                return float(found[f"{metric}@{k}"])

            def after(history: History) -> bool:
                now.history_ = history
                return bool(callback(now))  # type: ignore[misc]

            history = train(
                program.run,
                parts,
                epochs=self.epochs,
                name=type(self).__name__,
                steps=program.steps,
                validate=None if validation is None else score,
                metric=f"{metric}@{k}",
                patience=self.patience,
                grace=self.grace,
                refresh=None if refresh is None else refresh.step,
                callback=None if callback is None else after,
                checkpoint=checkpoint,
                identity=self._identity(csr),
                keep=("module",),
            )
        module.eval()
        learned = {"module_": module, "item_counts_": counts, "history_": history, "_shape": csr.shape}
        self.__dict__ = {**own, **learned}

    def _made(self, shape: tuple[int, int]) -> Network:
        """A new network on the CPU, the same for a seed; torch's own generator is left as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seed))
            return self._build(shape)

    def _refresh(self, module: Network, X: Any) -> ImplicitSLIMRefresh | None:
        if self.slim_every == 0:
            return None
        return ImplicitSLIMRefresh(
            module.item_weights(),
            X,
            every=self.slim_every,
            l2=self.slim_l2,
            alpha=self.slim_alpha,
            min_count=self.slim_min_count,
            num_threads=self.num_threads,
        )

    def _identity(self, X: Csr) -> dict[str, Any]:
        """What a checkpoint belongs to."""
        params: dict[str, Any] = {}
        for name, value in self.get_params().items():
            if name not in _FREE:
                params[name] = str(np.asarray(value).tolist()) if is_vector(value) else plain(value)
        data = 0
        for array in (X.indptr, X.indices, X.dense_values(np.float32)):
            data = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, data)
        users, items = X.shape
        return {"model": type(self).__name__, "users": users, "items": items, "interactions": data, **params}

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Where matrix products run in `precision`."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(_device(self.device).type, dtype=torch.bfloat16)

    @property
    def item_embeddings_(self) -> Array:  # type: ignore[override]
        """Weight of the last layer, (items, dim)."""
        self._check_fitted("module_")
        return self.module_.decoder.detach().cpu().numpy()

    @property
    def bias_(self) -> Array:  # type: ignore[override]
        """Bias of the last layer, (items,)."""
        self._check_fitted("module_")
        return self.module_.bias.detach().cpu().numpy()

    def _vectors(self, X: Csr) -> Array:
        module = self.module_
        place = module.decoder.device
        out = np.empty((X.shape[0], module.decoder.shape[1]), np.float32)
        before = module.training
        module.eval()
        try:
            with torch_threads(self.num_threads), torch.no_grad():
                for begin in range(0, X.shape[0], _BLOCK):
                    end = min(begin + _BLOCK, X.shape[0])
                    block = module.vectors(csr_tensors(X.rows(begin, end), device=place))
                    out[begin:end] = block.float().cpu().numpy()
        finally:
            module.train(before)
        return out

    def explain(self, x: Any, item: Any, k: int = 10) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Which of a user's items speak for `item`: what its score loses without each, largest first.

        Parameters
        ----------
        x : sparse matrix, (1, items), or Interactions of one user, or the id of a user
            A user by id is one of the training, and needs a model fitted on an `Interactions`.
        item : id, or int
            Whose score is explained; with a matrix a position, else an id.
        k : int
            At most so many contributions.

        Returns
        -------
        items : ndarray, (up to k,)
            Ids, or positions (int32), as `item` is.
        contributions : ndarray of float64, (up to k,)
            ``score(x) - score(x without the item)``. A network is not linear: they do not add up to the score.
        """
        return super().explain(x, item, k)

    def _contributions(self, x: Csr, item: int) -> NDArray[np.float64]:
        n = x.nnz
        keep = ~np.eye(n + 1, n, -1, dtype=bool)  # row 0 is the user, row i lacks entry i - 1
        indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64)
        indices = np.broadcast_to(x.indices, keep.shape)[keep]
        values = None if x.values is None else np.broadcast_to(x.values, keep.shape)[keep]
        vectors = self._vectors(Csr(indptr, indices, values, (n + 1, x.shape[1]))).astype(np.float64)
        scores = vectors @ self.item_embeddings_[item].astype(np.float64)
        return np.asarray(scores[0] - scores[1:])

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        self._check_fitted("module_")
        arrays = {f"module.{name}": value.detach().cpu().numpy() for name, value in self.module_.state_dict().items()}
        return {**arrays, "item_counts": self.item_counts_}, {"shape": [*self._shape], "history": self.history_}

    def _compared(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, facts = self._state()
        timeless = [{k: v for k, v in row.items() if k not in ("seconds", "speed")} for row in self.history_]
        return arrays, {**facts, "history": timeless}

    def _restore(self, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        self.item_counts_, self._shape, self.history_ = arrays["item_counts"], tuple(facts["shape"]), facts["history"]
        self.module_ = self._made(self._shape)
        prefix = "module."
        state = {n.removeprefix(prefix): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(prefix)}
        self.module_.load_state_dict(state)
        self.module_.to(_device(self.device)).eval()

    def to(self, device: str) -> Self:
        """A fitted copy of the model on another device, "cpu" or "cuda"."""
        self._check_fitted("module_")
        there = _device(device)
        moved = type(self)(**self.get_params() | {"device": device})
        moved.__dict__ |= {**self.__dict__, "device": device, "module_": copy.deepcopy(self.module_).to(there)}
        return moved


def batches(X: CsrTensors, size: int, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, CsrTensors]]:
    """All rows in random order, `size` at a time, with their numbers; they are gathered where the matrix is."""
    order = torch.randperm(X.shape[0], generator=generator, device=generator.device)
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        yield rows, X.take(rows)


def kept(x: CsrTensors, dropout: float, generator: torch.Generator) -> torch.Tensor | None:
    """Which entries are not dropped; None where all stay."""
    if dropout == 0:
        return None
    return torch.rand(len(x.col), generator=generator, device=x.col.device) >= dropout


def unit(x: CsrTensors) -> CsrTensors:
    """Rows of length one; an empty one stays empty."""
    lengths = torch.segment_reduce(x.values.square(), "sum", offsets=x.crow, initial=0.0).sqrt().clamp_min(1e-10)
    return x._replace(values=x.values / lengths.repeat_interleave(x.crow.diff(), output_size=len(x.col)))


def noisy(x: CsrTensors, dropout: float, keep: torch.Tensor | None) -> CsrTensors:
    """Rows without the entries that are not kept, which cost nothing then; the others are scaled up for them."""
    if keep is None:
        return x
    places = keep.nonzero()[:, 0]
    return CsrTensors(torch.searchsorted(places, x.crow), x.col[places], x.values[places] / (1 - dropout), x.n_items)


def adam(parameters: Any, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam that goes over its numbers once."""
    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def check_share(value: Any, name: str) -> None:
    """Refuse what is no share in [0, 1)."""
    if check_number(value, name, 0) >= 1:
        raise ValueError(f"{name}: expected a number of at least 0 and less than 1, got {value!r}")


def check_rate(value: Any, name: str = "learning_rate") -> None:
    """Refuse a learning rate that is not positive."""
    if check_number(value, name, 0) == 0:
        raise ValueError(f"{name}: expected a positive number, got {value!r}")


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device("cpu" if name is None else name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device: expected None, 'cpu' or 'cuda', got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {name!r} was asked for, and this torch sees no GPU")
    return device


@contextlib.contextmanager
def torch_threads(num_threads: int) -> Iterator[None]:
    """Let torch use so many threads within."""
    before, wanted = torch.get_num_threads(), resolve_threads(num_threads)
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
