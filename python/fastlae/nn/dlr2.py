"""DLR2: next items from a user's vector and the last items, by a generator and a learned distance."""

from __future__ import annotations

import copy
import itertools
import math
import zlib
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _memory
from .._sparse import Csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..errors import DataError
from ..evaluation import evaluate
from ..models.base import Recommender, is_vector, plain
from ..ops.topk import check_count, hidden_items, slice_hidden, topk_checked
from ..ops.weights import check_number
from . import init
from .base import _device, torch_threads
from .dlr2_network import CONVS, VARIANTS, DLR2Network, discriminative_loss, generative_loss
from .histories import Histories, histories, negatives, training_places
from .training import Epoch, History, train

if TYPE_CHECKING:
    from typing_extensions import Self

INITS = ("random", "svd", "le", "leporid")
LOSSES = ("both", "discriminative", "generative")
BRANCHES = ("discriminative", "generative")
DISTANCES = ("mean_squared", "norm")
_PAIRS = 1 << 14  # states x items that are scored at a time: what a layer makes of them stays in cache
_FREE = ("epochs", "patience", "num_threads", "device", "rank_by")  # may change between the runs of one checkpoint


class DLR2(Recommender):
    """Dual-loss residual recommendation: a network on manifold-informed embeddings of users and items.

    The vectors of the user and of the last `length` items pass two residual blocks of convolutions and become a state
    s. A generator G(s) points to where the next item should lie, and S(s, e) is a learned distance of every item.

    Parameters
    ----------
    dim : int
        Dimensions of the embeddings, the states and the generator's output; at least 2.
    length : int
        Items of a state. Where a user has fewer, the places before the first one hold the zero vector.
    init : {"leporid", "le", "svd", "random"} or array, (users + items, dim)
        Where the embeddings begin: see `fastlae.nn.init`; "random" is normal with standard deviation 0.01; an array has
        the users' rows above the items'. "leporid" and "le" are made from the training interactions.
    alpha, neighbors, standardize
        Of "leporid" and "le": regularization (LEPORID alone), neighbours in the graph, and whether columns get mean 0
        and variance 1. "svd" is standardized likewise, so that starts differ by nothing else.
    train_embeddings : bool
        Train the embeddings with the network, as the paper says; False: leave them as they begin, as its authors' code
        does.
    conv : {"1d", "2d"}
        "1d": convolutions over the positions, dimensions being channels. "2d": over positions and dimensions, with the
        state as an image: some hundred times the work.
    variant : {"resnet", "revnet", "no_conv", "no_residual"}
        The ablations of the paper's appendix: reversible blocks; four linear layers of 256; no skip connections.
    loss : {"both", "discriminative", "generative"}
        Equations (10) and (11) added up, or one of them.
    discriminative_margin, generative_margin : float
        Margins of the two losses. The paper prints 0, for which S = 0 everywhere minimises its loss; its authors' code
        has 0.5.
    generative_distance : {"mean_squared", "norm"}
        Between G(s) and an embedding: the mean squared difference of the coordinates, as in the authors' code, or the
        Euclidean norm of equation (11).
    rank_by : {"discriminative", "generative"}, optional
        By S, or by the distance from G(s). By default S, unless it is not trained.
    learning_rate, weight_decay : float
        Of Adam; the rate rises over the first `warmup` steps and falls to 0 along a cosine over all `epochs`.
    warmup : int
        Steps.
    batch_size : int
        Pairs of an item that came next and one that the user does not have.
    positions : int, optional
        Training positions of an epoch, drawn anew for each. By default all of them.
    epochs : int
        At most so many.
    patience : int, optional
        End after so many epochs without a better validation score. None: never.
    seed : int
        The same seed gives the same model on the same number of threads.
    num_threads : int
        0 means all that the process may use.
    device : str, optional
        Of torch, such as "cuda". By default the CPU.

    Attributes
    ----------
    module_ : DLR2Network
        The trained network, with the embeddings: row 0 of ``module_.users`` and ``module_.items`` is the zero vector,
        and users and items follow.
    item_counts_ : ndarray of float64, (items,)
        Users of every item; an item with 0 is never recommended.
    history_ : list of dict
        Figures of every epoch: loss, seconds, the validation score.

    Notes
    -----
    Zhang et al., "Initialization matters: regularizing manifold-informed initialization for neural recommendation
    systems", KDD 2021, where figures of layers that it does not print follow its authors' code. Training takes every
    position that `length` items go before (of shorter sequences the last), with one negative item each, uniformly from
    those that the user does not have.

    G ends in tanh and cannot reach coordinates beyond 1, which standardized embeddings have: inherent in the method.
    In training, gradients pass the last ReLU of S also where it is 0: otherwise S, once 0 everywhere, remains so. Items
    are ranked by the value before that ReLU, which is the same order with ties at 0 resolved.

    The model goes by time, so it is fitted on and asked with an `Interactions` that has timestamps; interactions of the
    same time are taken in the order of their items. Users who were not trained on get the zero vector, the mean of
    standardized embeddings, and are known by their last items alone.

    Examples
    --------
    >>> import numpy as np, fastlae, fastlae.nn
    >>> X = fastlae.data.make_interactions(n_users=60, n_items=30, n_interactions=600).tocoo()
    >>> times = np.random.default_rng(0).integers(0, 1000, X.nnz)
    >>> X = fastlae.Interactions(X.row, X.col, timestamps=times)
    >>> model = fastlae.nn.DLR2(dim=8, epochs=2, neighbors=10, num_threads=1).fit(X)
    >>> items, scores = model.recommend(users=X.user_ids[:3], k=5)
    >>> items.shape, len(model.history_)
    ((3, 5), 2)
    """

    sequential: ClassVar[bool] = True

    module_: DLR2Network
    item_counts_: NDArray[np.float64]
    history_: History
    _histories: Histories

    def __init__(
        self,
        *,
        dim: int = 64,
        length: int = 5,
        init: Any = "leporid",
        alpha: float = 0.5,
        neighbors: int = 1000,
        standardize: bool = True,
        train_embeddings: bool = True,
        conv: str = "1d",
        variant: str = "resnet",
        loss: str = "both",
        discriminative_margin: float = 0.5,
        generative_margin: float = 0.5,
        generative_distance: str = "mean_squared",
        rank_by: str | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        warmup: int = 100,
        batch_size: int = 128,
        positions: int | None = None,
        epochs: int = 20,
        patience: int | None = 5,
        seed: int = 0,
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.dim = dim
        self.length = length
        self.init = init
        self.alpha = alpha
        self.neighbors = neighbors
        self.standardize = standardize
        self.train_embeddings = train_embeddings
        self.conv = conv
        self.variant = variant
        self.loss = loss
        self.discriminative_margin = discriminative_margin
        self.generative_margin = generative_margin
        self.generative_distance = generative_distance
        self.rank_by = rank_by
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.batch_size = batch_size
        self.positions = positions
        self.epochs = epochs
        self.patience = patience
        self.seed = seed
        self.num_threads = num_threads
        self.device = device

    def _check(self) -> torch.device:
        for name in ("dim", "length", "neighbors", "batch_size", "epochs"):
            check_count(getattr(self, name), name)
        if self.dim < 2:
            raise ValueError(f"dim: expected at least 2, got {self.dim}")
        for name in ("patience", "positions"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        for name, known in (
            ("conv", CONVS),
            ("variant", VARIANTS),
            ("loss", LOSSES),
            ("generative_distance", DISTANCES),
            ("rank_by", (None, *BRANCHES)),
        ):
            if getattr(self, name) not in known:
                told = ", ".join(map(repr, known))
                raise ValueError(f"{name}: expected one of {told}, got {getattr(self, name)!r}")
        if not is_vector(self.init) and self.init not in INITS:
            raise ValueError(f"init: expected one of {', '.join(map(repr, INITS))} or an array, got {self.init!r}")
        for name in ("alpha", "discriminative_margin", "generative_margin", "weight_decay"):
            check_number(getattr(self, name), name, 0)
        if isinstance(self.warmup, bool) or not hasattr(self.warmup, "__index__") or self.warmup < 0:
            raise ValueError(f"warmup: expected a whole number of at least 0, got {self.warmup!r}")
        if check_number(self.learning_rate, "learning_rate", 0) == 0:
            raise ValueError(f"learning_rate: expected a positive number, got {self.learning_rate!r}")
        if isinstance(self.seed, bool) or not hasattr(self.seed, "__index__") or not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: expected a whole number of at least 0, got {self.seed!r}")
        if self.loss != "both" and self.rank_by not in (None, self.loss):
            raise ValueError(f"rank_by: {self.rank_by!r} is not trained with loss={self.loss!r}")
        return _device(self.device)

    # Training.

    def fit(
        self,
        X: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        metric: str = "ndcg",
        k: int = 10,
        callback: Callable[[Any], bool | None] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Learn from interactions, epoch by epoch.

        Parameters
        ----------
        X : Interactions
            With timestamps.
        validation : (shown, held_out), optional
            Interactions of the same users, such as ``(split.validation_fold_in, split.validation)`` of a split by
            time: what is shown of them, with timestamps, and what comes then. The epoch with the best `metric` is kept,
            and training ends after `patience` epochs without a better one. Without, the last epoch is kept.
        metric, k : str, int
            See `fastlae.evaluation.evaluate`.
        callback : function, optional
            Called after every epoch with the model as it is then, which the next epoch changes; returning True ends
            the training there.
        checkpoint : path-like, optional
            A file that is written after every epoch. If it is there, training goes on from it, with the same result as
            if it had never stopped (bit by bit on a CPU with the same number of threads).

        Returns
        -------
        self

        Raises
        ------
        DataError
            If `X` is no `Interactions`, has no timestamps, or no user has two items in it.
        ModelFileError
            If the checkpoint belongs to other hyperparameters or other data; it names which.
        FloatingPointError
            If the loss is no longer a finite number.
        """
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
            raise TypeError("validation: expected a pair (shown, held_out)")
        self._watch = (validation, metric, check_count(k, "k"), callback, checkpoint)
        try:
            return super().fit(X)
        finally:
            self.__dict__.pop("_watch", None)

    def _fit(self, X: Any) -> None:
        validation, metric, k, callback, checkpoint = self._watch
        device = self._check()
        all_users = np.arange(getattr(X, "shape", (0,))[0])
        known = histories(X, all_users, "DLR2")
        places, rows = training_places(known, self.length)
        lacks = np.diff(known.csr.indptr)[rows] < known.csr.shape[1]  # who has everything has no negative
        places, rows = places[lacks], rows[lacks]
        if not len(places):
            raise DataError("X: no user has two items to learn an order from, and an item left")
        # Embeddings with gradients, Adam's two moments and the best state, and what a start is made from.
        needed = 24 * sum(known.csr.shape) * self.dim + 40 * known.csr.nnz
        _memory.require(needed, f"embeddings of {known.csr.shape} users, items", "A smaller dim needs less.")
        with torch_threads(self.num_threads):
            module = self._start(X).to(device)
            trained = [p for p in module.parameters() if p.requires_grad]
            optimizer = torch.optim.Adam(trained, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)
            drawn = len(places) if self.positions is None else min(len(places), self.positions)
            steps = -(-drawn // self.batch_size)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(int(self.warmup), self.epochs * steps))
            own = {k: v for k, v in self.__dict__.items() if not (k.startswith("_") or k.endswith("_"))}
            counts = known.csr.item_counts()
            learned: dict[str, Any] = {"module_": module, "item_counts_": counts, "_histories": known}
            now = type(self)(**self.get_params())  # the model as it is after an epoch
            now.__dict__ |= {**learned, "interactions_": X._without_timestamps()}

            def run(epoch: Epoch) -> None:
                module.train()
                # The epoch's own random numbers: a run that goes on from a checkpoint draws the same.
                rng = np.random.default_rng([int(self.seed), epoch.number])
                order = rng.permutation(len(places))[:drawn]
                others = negatives(known.csr, rows, rng)
                for begin in range(0, len(order), self.batch_size):
                    chosen = order[begin : begin + self.batch_size]
                    if len(chosen) == 1 and len(order) > 1:
                        continue  # a batch norm of one is no norm
                    loss = self._loss(module, known, places[chosen], rows[chosen], others[chosen], device)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    schedule.step()
                    epoch.step(loss, len(chosen))

            def score() -> float:
                assert validation is not None
                found = evaluate(now, *validation, k=k, metrics=metric, num_threads=self.num_threads)
                return float(found[f"{metric}@{k}"])

            def after(history: History) -> bool:
                now.history_ = history
                return bool(callback(now))  # type: ignore[misc]

            learned["history_"] = train(
                run,
                {"module": module, "optimizer": optimizer, "schedule": schedule},
                epochs=self.epochs,
                name=type(self).__name__,
                steps=steps,
                unit="positions",
                validate=None if validation is None else score,
                metric=f"{metric}@{k}",
                patience=self.patience,
                callback=None if callback is None else after,
                checkpoint=checkpoint,
                identity=self._identity(known),
            )
        module.eval()
        self.__dict__ = {**own, **learned}

    def _made(self, n_users: int, n_items: int) -> DLR2Network:
        """A new network on the CPU, the same for a seed; torch's own generator is left as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.seed))
            return DLR2Network(
                n_users,
                n_items,
                dim=self.dim,
                length=self.length,
                conv=self.conv,
                variant=self.variant,
            )

    def _start(self, X: Interactions) -> DLR2Network:
        """The network with the embeddings that `init` asks for."""
        m, n = X.shape
        if is_vector(self.init) and np.shape(self.init) != (m + n, self.dim):
            raise ValueError(
                f"init: expected an array of shape {(m + n, self.dim)}, {m} users above {n} items, "
                f"got {np.shape(self.init)}"
            )
        module = self._made(m, n)
        sides = (("users", module.users, 0, m), ("items", module.items, m, m + n))
        rng = np.random.default_rng(int(self.seed))
        for side, embedding, begin, end in sides:
            weight = embedding.weight
            weight.requires_grad_(bool(self.train_embeddings))
            shared: dict[str, Any] = {"skip_first": 1, "num_threads": self.num_threads}
            if is_vector(self.init):
                given = np.asarray(self.init, np.float32)[begin:end]
                if not np.isfinite(given).all():
                    raise ValueError("init: expected finite numbers, got NaN or infinity")
                with torch.no_grad():
                    weight[1:] = torch.from_numpy(given)
            elif self.init == "random":
                with torch.no_grad():
                    noise = 0.01 * rng.standard_normal((end - begin, self.dim))
                    weight[1:] = torch.from_numpy(noise.astype(np.float32))
            elif self.init == "svd":
                init.svd_(weight, X, side, standardize=bool(self.standardize), **shared)
            else:
                alpha = float(self.alpha) if self.init == "leporid" else 0.0
                options: dict[str, Any] = {"k": self.neighbors, "standardize": bool(self.standardize)}
                init.leporid_(weight, X, side, alpha=alpha, **options, **shared)
        return module

    def _loss(
        self,
        module: DLR2Network,
        known: Histories,
        places: NDArray[np.int64],
        rows: NDArray[np.int64],
        others: NDArray[np.int64],
        device: torch.device,
    ) -> torch.Tensor:
        """Of the items at some places, beside others that their users do not have."""

        def there(array: NDArray[np.int64]) -> torch.Tensor:
            return torch.from_numpy(array + 1).to(device)

        s = module.states(there(rows), there(known.before(places, rows, self.length)))
        count = len(places)
        e = module.items(there(np.concatenate([known.items[places].astype(np.int64), others])))
        losses = []
        if self.loss != "generative":
            distance = module.distances(torch.cat([s, s]), e)
            losses.append(discriminative_loss(distance[:count], distance[count:], self.discriminative_margin))
        if self.loss != "discriminative":
            squared = self.generative_distance == "mean_squared"
            made = module.generator(s)
            losses.append(generative_loss(made, e[:count], e[count:], self.generative_margin, squared))
        return torch.stack(losses).sum()

    def _identity(self, known: Histories) -> dict[str, Any]:
        """What a checkpoint belongs to."""
        params: dict[str, Any] = {}
        for name, value in self.get_params().items():
            if name not in _FREE:
                params[name] = zlib.crc32(np.asarray(value, np.float64).tobytes()) if is_vector(value) else plain(value)
        data = zlib.crc32(known.items.tobytes(), zlib.crc32(known.csr.indptr.tobytes()))
        users, items = known.csr.shape
        # The rate falls over all epochs: their number belongs to the run.
        return {"model": "DLR2", "users": users, "items": items, "interactions": data, "epochs": self.epochs, **params}

    # Recommending.

    def _rows_of(self, X: Any, users: Any) -> tuple[Histories, NDArray[Any] | None]:
        """Histories of the users, with their ids."""
        if (X is None) == (users is None):
            raise TypeError(f"X: expected interactions, or users by id, got {'neither' if X is None else 'both'}")
        self._check_fitted("module_")
        known = self._known()
        if X is not None:
            if not isinstance(X, Interactions):
                return histories(X, np.empty(0, np.int64), type(self).__name__), None
            found = known._users.find(X.user_ids)
            return histories(X.align(known.item_ids), found, type(self).__name__), X.user_ids
        if not known.shape[0]:
            raise DataError("this model was saved without its users: give their interactions instead of ids")
        rows = known.user_positions(users)
        ours = self._histories
        _, places = known._places(rows)
        return Histories(known._csr_at(rows), rows, ours.items[places]), known.user_ids[rows]

    def _distances(self, rows: Histories) -> NDArray[np.float32]:
        """What rows of users are ranked by, small being near, (rows, items)."""
        module = self.module_
        device = module.items.weight.device
        n = len(self.item_counts_)
        _memory.require(4 * len(rows.users) * n, f"scores of {len(rows.users)} users", "Score fewer at a time.")
        out = np.empty((len(rows.users), n), np.float32)
        by = self.rank_by or ("generative" if self.loss == "generative" else "discriminative")
        before, users = module.training, np.where(rows.users < 0, -1, rows.users)
        module.eval()
        try:
            with torch_threads(self.num_threads), torch.no_grad():
                items = module.items.weight[1:]
                last = torch.from_numpy(rows.last(self.length) + 1).to(device)
                who = torch.from_numpy(users + 1).to(device)
                step = max(1, _PAIRS // n)
                for begin in range(0, len(out), 256):
                    s = module.states(who[begin : begin + 256], last[begin : begin + 256])
                    if by == "generative":
                        made = module.generator(s)
                        distance = items.square().sum(1) - 2 * made @ items.T + made.square().sum(1, keepdim=True)
                        out[begin : begin + 256] = distance.cpu().numpy()
                        continue
                    for i, j in itertools.product(range(0, len(s), step), range(0, n, _PAIRS)):
                        part = module.all_distances(s[i : i + step], items[j : j + _PAIRS])
                        out[begin + i : begin + i + len(part), j : j + _PAIRS] = part.cpu().numpy()
        finally:
            module.train(before)
        return out

    def _score(self, X: Any) -> NDArray[np.float32]:
        return -self._distances(X)

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        csr = X.csr
        check_count(k, "k")
        seen, columns = hidden_items(
            csr, csr.shape[1], exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.item_counts_ == 0
        )
        threads = resolve_threads(self.num_threads)
        best_items = np.empty((csr.shape[0], k), np.int32)
        best = np.empty((csr.shape[0], k), np.float32)
        for begin in range(0, csr.shape[0], 1024):
            end = min(begin + 1024, csr.shape[0])
            scores = -self._distances(X.part(begin, end))
            hidden = slice_hidden(seen, begin, end)
            best_items[begin:end], best[begin:end] = topk_checked(scores, k, None, hidden, columns, threads)
        nothing = np.diff(csr.indptr) == 0
        best_items[nothing], best[nothing] = -1, -np.inf
        return best_items, best

    # Files.

    def _without_users(self) -> Self:
        # Without their vectors, every user is known by the last items alone.
        self._check_fitted("module_")
        bare = copy.copy(self)
        bare.module_ = copy.deepcopy(self.module_)
        bare.module_.users = torch.nn.Embedding(1, self.dim, padding_idx=0)
        bare.interactions_ = self._known()._without_users()
        bare._histories = _of_nobody(len(self.item_counts_))
        if is_vector(self.init):
            bare.init = "random"  # the array has rows of users
        return bare

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._check_fitted("module_")
        arrays = {f"module.{name}": value.detach().cpu().numpy() for name, value in self.module_.state_dict().items()}
        arrays |= {"item_counts": self.item_counts_, "order": self._histories.items}
        # How long it took is no part of what was learned: a fit that is repeated gives an equal model.
        history = [{k: v for k, v in row.items() if k not in ("seconds", "speed")} for row in self.history_]
        return arrays, {"history": history}

    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        self.item_counts_, self.history_ = arrays["item_counts"], facts["history"]
        prefix = "module."
        state = {n.removeprefix(prefix): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(prefix)}
        module = self._made(len(state["users.weight"]) - 1, len(self.item_counts_))
        shapes = {name: value.shape for name, value in module.state_dict().items()}
        module.load_state_dict({name: value.reshape(shapes[name]) for name, value in state.items()})
        self.module_ = module.to(_device(self.device)).eval()
        self._histories = _of_nobody(len(self.item_counts_))._replace(items=arrays["order"])


def _rate(warmup: int, steps: int) -> Callable[[int], float]:
    """The learning rate of a step: rising first, then a cosine to 0."""
    return lambda step: min(1.0, (step + 1) / (warmup + 1)) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _of_nobody(n_items: int) -> Histories:
    """Histories without a row."""
    csr = Csr(np.zeros(1, np.int64), np.empty(0, np.int32), None, (0, n_items))
    return Histories(csr, np.empty(0, np.int64), np.empty(0, np.int32))
