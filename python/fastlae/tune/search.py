"""A search over continuous hyperparameters, of any model, by optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import evaluation
from .._names import did_you_mean
from ..data.reading import need
from ..errors import NotPositiveDefiniteError
from ..models.base import Recommender

# Where nobody says where to look: hyperparameters of the linear family.
SPACE: dict[str, Any] = {
    "l2": (1.0, 10_000.0, "log"),
    "dropout": (0.05, 0.95),
    "b": (0.0, 1.0),
    "xi": (0.0, 0.9),
    "user_power": (0.0, 1.0),
}


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    best : dict
        Hyperparameters of the best trial, and the metric under its name.
    metric : str
        Its name, as in "ndcg@20".
    model : Recommender or None
        The best trial, fitted on `train` (None with ``refit=False``).
    study : optuna.Study
        All trials, for optuna's own plots and tables.
    """

    best: dict[str, Any]
    metric: str
    model: Any
    study: Any


def search(
    model: str | type[Recommender],
    train: Any,
    validation: Any,
    *,
    space: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    fold_in: Any = None,
    metric: str = "ndcg",
    k: int = 20,
    n_trials: int = 50,
    timeout: float | None = None,
    seed: int = 0,
    study: Any = None,
    refit: bool = True,
) -> SearchResult:
    """Search for good hyperparameters by optuna (needs the extra ``fastlae[tune]``).

    `fastlae.sweep` is the faster way for the linear family on a grid: it inverts once for many points. Here every trial
    is a fit of its own; in exchange, hyperparameters are continuous, and the model may be any.

    Parameters
    ----------
    model : name or class
        Any model of this package.
    train, validation, fold_in, metric, k
        As of `fastlae.sweep`.
    space : dict, optional
        By name of the hyperparameter: ``(low, high)``, ``(low, high, "log")``, or a list of choices; whole numbers stay
        whole. By default l2, dropout, b, xi and user_power, as far as the model has them.
    fixed : dict, optional
        Other hyperparameters.
    n_trials : int
        How many are tried, at most.
    timeout : float, optional
        Seconds after which no trial is begun.
    seed : int
        Of optuna's sampler, where `study` is not given.
    study : optuna.Study, optional
        To go on with, or with a storage, a sampler or callbacks of one's own; its direction is "maximize".
    refit : bool
        Fit the best trial on `train`.

    Returns
    -------
    SearchResult

    Raises
    ------
    ImportError
        Without optuna.
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    A trial whose matrix is singular is pruned. Ctrl-C ends the search; what a study with a storage has learned stays
    there.
    """
    optuna = need("optuna", "search", "tune")
    cls: Any = Recommender.registry.get(model) if isinstance(model, str) else model
    if not (isinstance(cls, type) and issubclass(cls, Recommender)):
        close = did_you_mean(str(model), Recommender.registry) if isinstance(model, str) else ""
        raise ValueError(f"model: expected a model's name or class, got {model!r}{close}")
    names = cls._param_names()
    fixed = dict(fixed or {})
    ranges = {n: r for n, r in SPACE.items() if n in names and n not in fixed} if space is None else dict(space)
    for name in (*ranges, *fixed):
        if name not in names:
            raise ValueError(f"{cls.__name__} has no hyperparameter {name!r}{did_you_mean(name, names)}")
    if not ranges:
        raise ValueError(f"space: expected hyperparameters to search over, of {', '.join(names)}")
    if study is None:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    elif study.direction != optuna.study.StudyDirection.MAXIMIZE:
        raise ValueError("study: expected one that maximizes (optuna.create_study(direction='maximize'))")
    protocol = "weak" if fold_in is None else "strong"
    name = f"{metric}@{k}"

    def objective(trial: Any) -> float:
        made = cls(**fixed, **{key: _suggest(trial, key, one) for key, one in ranges.items()})
        try:
            made.fit(train)
        except NotPositiveDefiniteError as error:
            raise optuna.TrialPruned(str(error)) from None
        shown = train if fold_in is None else fold_in
        return float(evaluation.evaluate(made, shown, validation, k=k, metrics=metric, protocol=protocol)[name])

    study.optimize(objective, n_trials=n_trials, timeout=timeout)
    best = {**fixed, **study.best_params}
    fitted = cls(**best).fit(train) if refit else None
    return SearchResult({"model": cls.__name__, **best, name: study.best_value}, name, fitted, study)


def _suggest(trial: Any, name: str, one: Any) -> Any:
    if isinstance(one, list):
        return trial.suggest_categorical(name, one)
    if not isinstance(one, tuple) or len(one) not in (2, 3) or (len(one) == 3 and one[2] != "log"):
        raise ValueError(f"space: expected (low, high), (low, high, 'log') or a list for {name!r}, got {one!r}")
    suggest = trial.suggest_int if all(isinstance(end, int) for end in one[:2]) else trial.suggest_float
    return suggest(name, one[0], one[1], log=len(one) == 3)
