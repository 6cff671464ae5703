"""What a sweep found, to print, to look at and to take on."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from os import PathLike
from typing import Any

from ..models.linear import LinearAutoencoder


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    table : list of dict
        One row per point, best first: the model's name, its `ridge`, its own hyperparameters (`l2` among them) and the
        metric under its name.
    metric : str
        Name of the metric's column, as in "ndcg@20".
    model : LinearAutoencoder or None
        The best point, fitted on `train` (None with ``refit=False``).
    inverses : int
        How many were computed.
    """

    table: list[dict[str, Any]]
    metric: str
    model: LinearAutoencoder | None
    inverses: int

    @property
    def best(self) -> dict[str, Any]:
        """The first row."""
        return self.table[0]

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame (needs pandas)."""
        pandas: Any = importlib.import_module("pandas")
        return pandas.DataFrame(self.table)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """A heat map per model, the best point marked (needs the extra ``fastlae[plot]``).

        Across: `ridge`; up: the hyperparameter that changes most, of dropout, b, a, xi, user_power and
        popularity_power. Of the points of a cell, which differ in the others, it shows the best.

        Parameters
        ----------
        path : path-like, optional
            Write the figure there, too: PNG, SVG or PDF, by the name's ending.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .plot import heat_maps

        figure = heat_maps(self)
        if path is not None:
            figure.savefig(path)
        return figure

    def __str__(self) -> str:
        """The ten best points."""
        names = list(dict.fromkeys(name for row in self.table for name in row))
        rows = [[_cell(row.get(name, "")) for name in names] for row in self.table[:10]]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in [names, *rows]]
        if len(self.table) > 10:
            lines.append(f"... and {len(self.table) - 10} more points; {self.inverses} inverses")
        return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
