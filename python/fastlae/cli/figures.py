"""The pictures of a report, each as an SVG that stands in the page itself."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.reading import need
from ..tune import SweepResult
from .stages import Stage

# Okabe and Ito's colours, which people who see few colours tell apart too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#000000")
_STYLE = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "axes.edgecolor": "#888888",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "svg.hashsalt": "fastlae",  # the same picture has the same bytes
}


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    figure = need("matplotlib.figure", "a report", "plot").Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(1, columns, squeeze=False)[0]
    return figure, panels


def picture(figure: Any, words: str) -> str:
    """A figure as an image element; `words` say what it shows to those who do not see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/svg+xml;base64,{data}">'


def styled(draw: Any) -> Any:
    """Let a function draw in the style of the report, and leave matplotlib's settings as they are."""

    def inside(*args: Any, **options: Any) -> str:
        matplotlib = need("matplotlib", "a report", "plot")
        with matplotlib.rc_context(_STYLE):
            result: str = draw(*args, **options)
        return result

    return inside


@styled
def metrics(names: Sequence[str], values: dict[str, Sequence[float]], errors: dict[str, Sequence[float]]) -> str:
    """A group of bars per metric, a bar per model, with standard errors."""
    figure, (panel,) = _figure(9.5, 3.6)
    width = 0.8 / len(names)
    places = np.arange(len(values))
    for m, name in enumerate(names):
        at = places + (m - (len(names) - 1) / 2) * width
        heights = [values[metric][m] for metric in values]
        spread = [errors[metric][m] for metric in values]
        panel.bar(at, heights, width * 0.92, yerr=spread, label=name, color=COLOURS[m % len(COLOURS)],
                  error_kw={"elinewidth": 1, "ecolor": "#444444"})  # fmt: skip
        for x, height, error in zip(at, heights, spread, strict=True):
            if len(names) <= 4:  # more would write over each other
                panel.text(x, height + error, f"{height:.3f}", ha="center", va="bottom", fontsize=8)
    panel.set_xticks(places, list(values))
    panel.grid(visible=False, axis="x")
    panel.margins(y=0.12)
    panel.legend(ncols=min(4, len(names)), frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return picture(figure, "Every metric of every model")


@styled
def popularity(counts: NDArray[Any], recommended: dict[str, NDArray[Any]], k: int) -> str:
    """What share of interactions, and of recommendations, the most popular items have."""
    figure, (panel,) = _figure(6.2, 3.9)
    order = np.argsort(-counts, kind="stable")
    share = 100 * np.arange(1, len(order) + 1) / len(order)

    def curve(of: NDArray[Any]) -> NDArray[Any]:
        total: NDArray[Any] = 100 * np.cumsum(of[order]) / max(1, of.sum())
        return total

    panel.plot(share, curve(counts), color="#222222", linestyle="--", label="interactions")
    for m, (name, of) in enumerate(recommended.items()):
        panel.plot(share, curve(of), color=COLOURS[m % len(COLOURS)], label=f"top {k} of {name}")
    panel.set_xscale("log")
    panel.set_xlim(max(share[0], 0.05), 100)
    panel.set_ylim(0, 102)
    panel.set_xlabel("most popular items, % of the catalogue")
    panel.set_ylabel("their share, %")
    panel.legend(frameon=False, fontsize=9)
    ticks = [t for t in (0.1, 1, 10, 100) if t >= share[0]]
    panel.set_xticks(ticks, [f"{t:g}" for t in ticks])
    return picture(figure, "Cumulative share of the most popular items in interactions and recommendations")


@styled
def by_activity(activity: NDArray[Any], per_user: dict[str, NDArray[Any]], metric: str) -> str:
    """Recall of users by how many items a model is shown of them, in groups of about as many users."""
    figure, (panel,) = _figure(6.2, 3.9)
    known = np.isfinite(next(iter(per_user.values())))
    edges = np.unique(np.quantile(activity[known], np.linspace(0, 1, 7)).round())
    group = np.clip(np.searchsorted(edges, activity, side="right") - 1, 0, max(0, len(edges) - 2))
    present = [g for g in range(max(1, len(edges) - 1)) if (known & (group == g)).any()]
    labels = []
    for g in present:
        of = activity[known & (group == g)]
        low, high = int(of.min()), int(of.max())
        labels.append(f"{low}" if low == high else f"{low}-{high}")
    for m, (name, values) in enumerate(per_user.items()):
        means, errors = [], []
        for g in present:
            of = values[known & (group == g)]
            means.append(of.mean())
            errors.append(of.std() / np.sqrt(len(of)))
        shift = (m - (len(per_user) - 1) / 2) * 0.06
        panel.errorbar(np.arange(len(present)) + shift, means, yerr=errors, color=COLOURS[m % len(COLOURS)],
                       marker="o", markersize=4, linewidth=1.5, capsize=2, label=name)  # fmt: skip
    panel.set_xticks(range(len(present)), labels)
    panel.set_xlabel("items that the model is shown of a user")
    panel.set_ylabel(metric)
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, fontsize=9)
    return picture(figure, f"{metric} by activity of users")


@styled
def stages(measured: Sequence[Stage]) -> str:
    """Seconds and peak of memory per stage."""
    with_memory = all(stage.peak_gb is not None for stage in measured)
    figure, panels = _figure(9.5, 0.9 + 0.32 * len(measured), 1 + with_memory)
    places = np.arange(len(measured))[::-1]
    columns = [([stage.seconds for stage in measured], "seconds", COLOURS[0], "{:.2f}")]
    if with_memory:
        columns.append(([stage.peak_gb or 0.0 for stage in measured], "peak memory, GB", COLOURS[2], "{:.2f}"))
    for panel, (values, label, colour, form) in zip(panels, columns, strict=True):
        panel.barh(places, values, 0.7, color=colour)
        for y, value in zip(places, values, strict=True):
            panel.text(value, y, " " + form.format(value), va="center", fontsize=8.5)
        panel.set_yticks(places, [stage.name for stage in measured] if panel is panels[0] else [""] * len(measured))
        panel.set_xlabel(label)
        panel.grid(visible=False, axis="y")
        panel.margins(x=0.16, y=0.02)
    return picture(figure, "Seconds and peak memory of every stage")


@styled
def sweeps(results: Sequence[SweepResult]) -> str:
    """The heat maps of sweeps with one metric, side by side."""
    rows = sorted((row for one in results for row in one.table), key=lambda row: -row[results[0].metric])
    figure = SweepResult(rows, results[0].metric, None, 0).plot()
    return picture(figure, "Validation metric over the hyperparameters that were tried")
