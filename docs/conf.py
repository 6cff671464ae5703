"""Settings of Sphinx: `make docs`. A page per model is written here from the models' docstrings."""

from __future__ import annotations

import inspect
import pathlib
import re
import sys

import fastlae
from fastlae import models

project = "fastlae"
author = "The fastlae developers"
version = release = fastlae.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.intersphinx", "numpydoc"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "fastlae"
html_static_path: list[str] = []
exclude_patterns = ["_build"]
nitpicky = False
# Links out of a page into the repository (bench, csrc) are for readers of the repository.
suppress_warnings = ["myst.xref_missing"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it with shapes and units
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

HERE = pathlib.Path(__file__).parent


def public_models() -> dict[str, type]:
    """Every model that `fastlae.models` names, and what they have in common."""
    named = {name: getattr(models, name) for name in models.__all__}
    return {name: cls for name, cls in named.items() if inspect.isclass(cls)}


def write_model_pages(_: object = None) -> None:
    """A page per class: its docstring has the equation, the paper, the hyperparameters and an example."""
    folder = HERE / "models"
    folder.mkdir(exist_ok=True)
    rows = {True: [], False: []}
    for name, cls in public_models().items():
        shared = inspect.isabstract(cls) or name in ("LinearAutoencoder", "Recommender")
        place = f"fastlae.{name}" if hasattr(fastlae, name) else f"fastlae.models.{name}"
        members = "   :members:\n" if shared else ""
        if not shared:
            members += "   :show-inheritance:\n"
        page = f"# {name}\n\n```{{eval-rst}}\n.. autoclass:: {place}\n{members}```\n"
        if not shared:
            page += "\nWhat every model can do is described with [Recommender](Recommender.md)"
            page += " and [LinearAutoencoder](LinearAutoencoder.md).\n" if linear(cls) else ".\n"
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != page:
            path.write_text(page)
        rows[shared].append(f"| [{name}]({name}.md) | {(inspect.getdoc(cls) or '').splitlines()[0]} |")
    text = "# Models\n\n| class | |\n|---|---|\n" + "\n".join(rows[False])
    text += "\n\nWhat they share:\n\n| class | |\n|---|---|\n" + "\n".join(rows[True])
    text += "\n\n```{toctree}\n:hidden:\n\n" + "\n".join([*public_models()]) + "\n```\n"
    (folder / "index.md").write_text(text)


def linear(cls: type) -> bool:
    """Whether a model has item-item weights."""
    return issubclass(cls, models.LinearAutoencoder)


def escape_bars(_app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """|T|, the number of targets, is no substitution."""
    lines[:] = [re.sub(r"(?<![`|\\])\|(\w)\|", r"\\|\1\\|", line) for line in lines]


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", escape_bars, priority=900)  # type: ignore[attr-defined]
    app.connect("builder-inited", write_model_pages)  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit("run `make docs`")
