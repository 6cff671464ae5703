"""The loop over epochs that every network here is trained by.

It owns what is the same for all: progress, the figures of every epoch, the validation score and the best state by it,
early stopping, and checkpoints from which training goes on as if it had never stopped. What an epoch does is the
model's own.
"""

from __future__ import annotations

import math
import os
import pickle
import time
import warnings
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from .. import _progress
from .._files import replaced
from ..errors import ModelFileError
from ..ops.topk import check_count

_FORMAT = 1
History = list[dict[str, Any]]


class Epoch:
    """One epoch as it runs: adds up losses, counts samples and moves the bar; made by `train`.

    Attributes
    ----------
    number : int
        From 1.
    """

    def __init__(self, number: int, steps: int, unit: str, head: str, span: _progress.Span) -> None:
        self.number = number
        self._steps, self._unit, self._head, self._span = max(1, steps), unit, head, span
        self._done = self._samples = 0
        self._sums: dict[str, tuple[Any, int]] = {}
        self._start = time.perf_counter()

    def step(self, loss: torch.Tensor | float, samples: int, name: str = "loss") -> None:
        """Count a step.

        Parameters
        ----------
        loss : torch.Tensor or float
            Mean over the samples; a tensor is not waited for.
        samples : int
            Users, or whatever the loss is a mean over.
        name : str
            Of the loss; every name gets a mean of its own.
        """
        if isinstance(loss, torch.Tensor):
            loss = loss.detach()
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + loss * samples, count + samples
        self._done += 1
        self._samples += samples
        if self._span.bar is not None:
            self._span.text = f"{self._head}, {self.speed():,.0f} {self._unit}/s"
            self._span.report(self._done / self._steps)

    def speed(self) -> float:
        """Samples per second so far."""
        return self._samples / max(1e-9, time.perf_counter() - self._start)

    def figures(self) -> dict[str, Any]:
        """Mean losses, samples and seconds."""
        losses = {name: float(total) / max(1, count) for name, (total, count) in self._sums.items()}
        return {**losses, "samples": self._samples, "seconds": time.perf_counter() - self._start}


def train(
    run_epoch: Callable[[Epoch], None],
    parts: Mapping[str, Any],
    *,
    epochs: int,
    name: str = "training",
    steps: int = 1,
    unit: str = "users",
    validate: Callable[[], float] | None = None,
    metric: str = "score",
    patience: int | None = None,
    grace: int = 1,
    refresh: Callable[[], bool] | None = None,
    callback: Callable[[History], bool | None] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    identity: Mapping[str, Any] | None = None,
) -> History:
    """Train for so many epochs, and leave the modules in their best state.

    Parameters
    ----------
    run_epoch : function
        Makes the steps of one epoch and tells the `Epoch` that it gets of each.
    parts : dict
        All that changes in training, by name: modules, optimizers, schedulers, ``torch.Generator``, and anything else
        with ``state_dict`` and ``load_state_dict``. Random numbers must come from generators among them, or a
        checkpoint does not resume exactly.
    epochs : int
        At most so many, those before a checkpoint included.
    name, steps, unit
        For the bar: what is trained, steps per epoch, and what a sample is.
    validate : function, optional
        The score after an epoch, larger being better. Modules end in the state of the best one; without it, in the
        last.
    metric : str
        Name of the score in the history.
    patience : int, optional
        End after so many epochs in a row without a new best. None: never.
    grace : int
        So many epochs after a refresh, the one it ends included, do not count as without a new best.
    refresh : function, optional
        Called after every epoch before its validation, with True if it replaced weights (as
        ``ImplicitSLIMRefresh.step``).
    callback : function, optional
        Called after every epoch with the history; returning True ends the training.
    checkpoint : path-like, optional
        Written after every epoch, complete or not at all; if it is there already, training goes on from it.
    identity : dict, optional
        What a checkpoint belongs to: architecture, data, hyperparameters; names to numbers and strings.

    Returns
    -------
    list of dict
        Of every epoch: number ("epoch"), mean losses, samples, seconds, samples per second ("speed"), the score under
        its name, and whether weights were refreshed.

    Raises
    ------
    ModelFileError
        If the checkpoint is of something else, naming what differs, or no checkpoint.
    FloatingPointError
        If a loss is no longer a finite number.
    """
    check_count(epochs, "epochs")
    if patience is not None:
        check_count(patience, "patience")
    if isinstance(grace, bool) or not hasattr(grace, "__index__") or grace < 0:
        raise ValueError(f"grace: expected a whole number of at least 0, got {grace!r}")
    state = _Progress(parts, dict(identity or {}))
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        state.load(path)
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"checkpoint: no such folder: {path.parent}")
    while len(state.history) < epochs and not state.ended:
        number = len(state.history) + 1
        with _progress.span(f"{name} epoch {number} of {epochs}", (number - 1) / epochs, number / epochs) as span:
            head = span.text + _latest(state.history, metric)
            span.text = head
            epoch = Epoch(number, steps, unit, head, span)
            run_epoch(epoch)
            figures = epoch.figures()
        _check_finite(figures, number)
        row = {"epoch": number, **figures, "speed": figures["samples"] / max(1e-9, figures["seconds"])}
        row["refreshed"] = bool(refresh()) if refresh is not None else False
        if row["refreshed"]:
            state.calm = grace
        if validate is not None:
            row[metric] = float(validate())
        state.history.append(row)
        state.look(row.get(metric), patience)
        if callback is not None and callback(state.history):
            state.ended = True
        if path is not None:
            state.save(path)
    state.finish()
    return state.history


def _latest(history: History, metric: str) -> str:
    """The last figures, for the bar."""
    if not history:
        return ""
    last = history[-1]
    shown = [f"{key} {last[key]:.4g}" for key in last if key == "loss" or key == metric]
    return "".join(f", {one}" for one in shown)


def _check_finite(figures: Mapping[str, Any], number: int) -> None:
    bad = [key for key, value in figures.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(
            f"{', '.join(bad)}: no longer a finite number in epoch {number}; a smaller learning rate may help"
        )


class _Progress:
    """How far training has come, in memory and as a file."""

    def __init__(self, parts: Mapping[str, Any], identity: dict[str, Any]) -> None:
        self.parts, self.identity = dict(parts), identity
        self.history: History = []
        self.best: dict[str, Any] | None = None  # states of the modules
        self.best_score = -math.inf
        self.waited = self.calm = 0
        self.ended = False

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {name: part for name, part in self.parts.items() if isinstance(part, torch.nn.Module)}

    def look(self, score: float | None, patience: int | None) -> None:
        """Keep the best; end when nothing better came for so many epochs."""
        calm, self.calm = self.calm > 0, max(0, self.calm - 1)
        if score is None:
            return
        if score > self.best_score:
            self.best_score, self.waited = score, 0
            self.best = {name: _copy(module.state_dict()) for name, module in self._modules().items()}
        elif not calm:
            self.waited += 1
            self.ended = self.ended or (patience is not None and self.waited >= patience)

    def finish(self) -> None:
        """Put the best state into the modules."""
        if self.best is not None:
            for name, module in self._modules().items():
                module.load_state_dict(self.best[name])

    def save(self, path: Path) -> None:
        states = {name: _state(part) for name, part in self.parts.items()}
        facts = {name: getattr(self, name) for name in ("history", "best", "best_score", "waited", "calm", "ended")}
        with replaced(path) as temporary, temporary.open("wb") as file:
            torch.save({"fastlae_checkpoint": _FORMAT, "identity": self.identity, "states": states, **facts}, file)
            file.flush()
            os.fsync(file.fileno())

    def load(self, path: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(path, map_location="cpu", weights_only=True)  # tensors and numbers, no code
            format_ = found["fastlae_checkpoint"]
            states, identity = found["states"], found["identity"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ModelFileError(f"{path} is cut short or no checkpoint of fastlae ({type(error).__name__})") from None
        if format_ > _FORMAT:
            raise ModelFileError(f"{path} was written by a newer version of fastlae: upgrade fastlae")
        _check_identity(path, identity, self.identity)
        if states.keys() != self.parts.keys():
            raise ModelFileError(f"{path} holds {', '.join(states)}, expected {', '.join(self.parts)}")
        for name, part in self.parts.items():
            try:
                _set_state(part, states[name])
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                raise ModelFileError(f"{path} is of another architecture ({name}): {_first_line(error)}") from None
        for name in ("history", "best", "best_score", "waited", "calm", "ended"):
            setattr(self, name, found[name])


def _check_identity(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    different = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
    if different:
        told = ", ".join(f"{key} {found.get(key)!r} there, {expected.get(key)!r} here" for key in different)
        raise ModelFileError(f"{path} is a checkpoint of something else ({told}): name another file, or remove it")


def _state(part: Any) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _set_state(part: Any, state: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.detach().clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
