"""The table of a sweep as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.reading import need

if TYPE_CHECKING:
    from .result import SweepResult

_AXES = ("dropout", "b", "a", "xi", "user_power", "popularity_power")


def heat_maps(result: SweepResult) -> Any:
    """A figure with a heat map per model, in one colour scale; see `SweepResult.plot`."""
    figures = need("matplotlib.figure", "a plot", "plot")
    models = list(dict.fromkeys(row["model"] for row in sorted(result.table, key=lambda row: row["model"])))
    all_values = np.array([row[result.metric] for row in result.table])
    # Points that fail altogether would leave no colours for the differences that matter.
    low, high = max(all_values.min(), 0.7 * all_values.max()), all_values.max()
    figure = figures.Figure(figsize=(1.0 + 4.0 * len(models), 3.9), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    image = None
    for panel, model in zip(panels, models, strict=True):
        rows = [row for row in result.table if row["model"] == model]
        image = _panel(panel, rows, result, low, high)
        mark = " (best)" if model == result.best["model"] else ""
        panel.set_title(f"{model}{mark}: {max(row[result.metric] for row in rows):.4f}", fontsize=11)
    figure.colorbar(image, ax=list(panels), label=result.metric, shrink=0.9, extend="min")
    return figure


def _panel(panel: Any, rows: list[dict[str, Any]], result: SweepResult, low: float, high: float) -> Any:
    counts = {name: len({row[name] for row in rows}) for name in _AXES if name in rows[0]}
    up = max(counts, key=lambda name: counts[name])
    across, upward = (sorted({row[name] for row in rows}) for name in ("ridge", up))
    cells = np.full((len(upward), len(across)), np.nan)
    for row in rows:
        at = upward.index(row[up]), across.index(row["ridge"])
        cells[at] = np.fmax(cells[at], row[result.metric])
    image = panel.imshow(cells, origin="lower", aspect="auto", cmap="viridis", vmin=low, vmax=high)
    panel.grid(visible=False)
    panel.set_xticks(range(len(across)), [f"{value:g}" for value in across])
    panel.set_yticks(range(len(upward)), [f"{value:g}" for value in upward])
    panel.set_xlabel("ridge")
    panel.set_ylabel(up)
    if cells.size <= 150:
        for (y, x), value in np.ndenumerate(cells):
            if np.isfinite(value):
                dark = value < (low + high) / 2
                panel.text(x, y, f"{value:.3f}", ha="center", va="center", fontsize=8, color="w" if dark else "k")
    best = max(rows, key=lambda row: row[result.metric])
    place = across.index(best["ridge"]), upward.index(best[up])
    panel.add_patch(
        need("matplotlib.patches", "a plot", "plot").Rectangle(
            (place[0] - 0.5, place[1] - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=2.5
        )
    )
    return image
