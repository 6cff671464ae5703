"""A report in one HTML file: what was measured, how good the models are, and why they recommend what they do.

The page holds its pictures, asks nothing of the network and runs no script.
"""

from __future__ import annotations

import html
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from .. import __version__
from .._backend import instruction_set
from .._files import replaced
from .._threads import available_threads
from ..data.reading import need
from ..evaluation.evaluate import Evaluation
from . import figures
from .stages import Stages

_CSS = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1e; background: #f5f6f8; margin: 0 }
main { max-width: 1000px; margin: 0 auto; padding: 28px 20px 60px }
header { border-bottom: 3px solid #0072B2; margin-bottom: 22px; padding-bottom: 8px }
h1 { font-size: 25px; margin: 0 } h2 { font-size: 18px; margin: 0 0 6px }
header p { color: #555; margin: 4px 0 0 }
section { background: #fff; border: 1px solid #e2e4e8; border-radius: 8px; padding: 18px 20px; margin: 16px 0 }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 16px }
.pair section { margin: 0 }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px }
.card { background: #fff; border: 1px solid #e2e4e8; border-radius: 8px; padding: 10px 14px }
.card b { display: block; font-size: 21px } .card span { color: #666; font-size: 13px }
.card.wide { grid-column: span 2 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px }
th, td { padding: 5px 9px; text-align: right; border-bottom: 1px solid #eceef1 }
th { font-weight: 600; color: #555 } th:first-child, td:first-child, td.text, th.text { text-align: left }
tr.best td { background: #e8f3fa; font-weight: 600 }
code { font-family: ui-monospace, monospace; font-size: 13px } img { width: 100%; height: auto }
p.note { color: #666; font-size: 13px; margin: 8px 0 0 } footer { color: #666; font-size: 13px }
.user { margin: 14px 0 0 } .user h3 { font-size: 15px; margin: 0 0 4px }
.why { color: #555 } .hit { color: #00734f; font-weight: 600 }
@media print { body { background: #fff } section, .card { break-inside: avoid } }
"""


@dataclass
class Measured:
    """A model with what was measured of it."""

    name: str  # of the class
    shown: str  # the call that makes it
    evaluation: Evaluation
    recommended: NDArray[np.int64]  # how often each item is in a top list
    fit_seconds: float
    sparsified: bool = False


@dataclass
class Person:
    """One user's recommendations, with reasons."""

    title: str
    rows: list[tuple[str, float, bool, str]]  # item, score, whether it was held out, what speaks for it


@dataclass
class Report:
    """What goes on the page."""

    title: str
    subtitle: str
    cards: list[tuple[str, str]]  # a figure and what it counts
    counts: NDArray[Any]  # users of every item, in training
    activity: NDArray[Any]  # items shown of every test user
    k: int  # length of the lists that `recommended` counts
    notes: list[str]
    models: list[Measured] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    recommender: str = ""
    sweeps: list[Any] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)

    @property
    def best(self) -> Measured:
        """The model with the largest NDCG, or whatever metric stands last."""
        return max(self.models, key=lambda one: float(one.evaluation[self.decisive]))

    @property
    def decisive(self) -> str:
        """The metric that the best model is best in."""
        names = list(self.models[0].evaluation)
        return next((name for name in reversed(names) if name.startswith("ndcg")), names[-1])

    def write(self, path: Path) -> None:
        """Write the page."""
        page = self.page()
        with replaced(path) as temporary:
            temporary.write_text(page, encoding="utf-8")

    def page(self) -> str:
        """The page as text."""
        names = list(self.models[0].evaluation)
        labels = [one.name for one in self.models]
        best = self.best
        whole = [m for m in self.models if not m.sparsified]  # lines of models that are nearly the same hide each other
        cards = [(f"{float(best.evaluation[self.decisive]):.4f}", f"{self.decisive} of {best.name}, the best here"),
                 *self.cards]  # fmt: skip
        parts = [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(self.title)}</title><style>{_CSS}</style></head><body><main>",
            f"<header><h1>{_text(self.title)}</h1><p>{_text(self.subtitle)}</p></header>",
            '<div class="cards">',
            *(f'<div class="card"><b>{_text(figure)}</b><span>{_text(what)}</span></div>' for figure, what in cards),
            "</div>",
            _section(
                "Models",
                self._table(names)
                + figures.metrics(
                    labels,
                    {n: [float(m.evaluation[n]) for m in self.models] for n in names},
                    {n: [m.evaluation[n].standard_error for m in self.models] for n in names},
                )
                + _note(*self.notes),
            ),
            '<div class="pair">',
            _section(
                "Who is served well",
                figures.by_activity(
                    self.activity, {m.name: m.evaluation[self.recall].per_user for m in whole}, self.recall
                )
                + _note("Groups of about as many users each; whiskers are standard errors."),
            ),
            _section(
                "Popularity",
                figures.popularity(self.counts, {m.name: m.recommended for m in whole}, self.k)
                + _note("A curve further to the right: more of what few people know is recommended."),
            ),
            "</div>",
        ]
        if self.people:
            parts.append(_section("What is recommended, and why", self._people()))
        if self.sweeps:
            pictures = figures.sweeps(self.sweeps)
            parts.append(
                _section(
                    "How hyperparameters were chosen",
                    pictures + _note("Validation data; a cell shows the best of the points that differ in the others."),
                )
            )
        parts.append(_section("Time and memory", figures.stages(self.stages)))
        parts.append(f"<footer>{_text(environment())}</footer></main></body></html>")
        return "\n".join(parts) + "\n"

    @property
    def recall(self) -> str:
        """The metric that is shown by activity."""
        names = list(self.models[0].evaluation)
        return next((name for name in names if name.startswith("recall")), names[0])

    def _table(self, names: list[str]) -> str:
        head = "".join(f"<th>{_text(name)}</th>" for name in names)
        rows = []
        for one in self.models:
            cells = "".join(
                f'<td title="standard error {metric.standard_error:.4f}">{float(metric):.4f}</td>'
                for metric in (one.evaluation[name] for name in names)
            )
            mark = ' class="best"' if one is self.best else ""
            rows.append(f"<tr{mark}><td><code>{_text(one.shown)}</code></td>{cells}<td>{one.fit_seconds:.2f}</td></tr>")
        return f"<table><tr><th>model</th>{head}<th>fit, s</th></tr>{''.join(rows)}</table>"

    def _people(self) -> str:
        parts = [f"<p>{_text(self.recommender)}, for some of the users it was tested on.</p>"]
        for person in self.people:
            rows = "".join(
                f'<tr><td class="text{" hit" if hit else ""}">{_text(item)}{" (held out: a hit)" if hit else ""}</td>'
                f'<td>{score:.3f}</td><td class="text why">{_text(why)}</td></tr>'
                for item, score, hit, why in person.rows
            )
            parts.append(
                f'<div class="user"><h3>{_text(person.title)}</h3><table><tr><th>item</th><th>score</th>'
                f'<th class="text">what speaks for it most</th></tr>{rows}</table></div>'
            )
        return "".join(parts)


def recall_note(protocol: str) -> str:
    """What recall and the whiskers are."""
    which = "the smaller of k and the" if protocol == "strong" else "the"
    return f"Recall divides by {which} number of held-out items. Whiskers and hints are standard errors over users."


def check() -> None:
    """Before anything is computed: whether pictures can be drawn."""
    need("matplotlib.figure", "a report", "plot")


def environment() -> str:
    """Versions and machine, in one line."""
    threads, _ = available_threads()
    return (
        f"fastlae {__version__}, {threads} threads, {instruction_set()} kernels; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}; {platform.machine()}"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{body}</section>"


def _note(*lines: str) -> str:
    return "".join(f'<p class="note">{_text(line)}</p>' for line in lines)
