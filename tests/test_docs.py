"""The documents: examples that run, commands that exist, and a page for every model."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import shlex
from pathlib import Path

import pytest

from fastlae.cli.parsing import parse
from fastlae.models import Recommender

DOCS = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="no documents beside the tests")


def test_the_tour_runs():
    failed, tried = doctest.testfile(str(DOCS / "tour.md"), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_the_functions_for_torch_run():
    pytest.importorskip("torch")
    failed, tried = doctest.testfile(str(DOCS / "nn_functional.md"), module_relative=False)
    assert tried > 15
    assert failed == 0


def test_the_tutorials_commands_are_understood():
    lines = re.findall(r"(?m)^\$ fastlae (.*)$", (DOCS / "tutorial.md").read_text())
    assert len(lines) > 8
    for line in lines:
        parse(shlex.split(line))


def test_output_is_inserted_under_its_command(tmp_path, monkeypatch):
    names: dict[str, object] = {"__name__": "insert_output", "__file__": str(DOCS / "insert_output.py")}
    exec(compile((DOCS / "insert_output.py").read_text(), "insert_output.py", "exec"), names)
    for name in ("ratings.csv", "movies.csv"):
        (tmp_path / name).write_text("a\n")
    document = tmp_path / "page.md"
    document.write_text(
        "before\n```console\n$ cat ratings.csv\nold\n$ echo 'x y'\n```\nafter\n```text\n$ echo no\n```\n"
    )
    names["DOCUMENTS"] = [document]
    monkeypatch.setattr("sys.argv", ["insert_output.py", str(tmp_path)])
    names["main"]()
    want = "before\n```console\n$ cat ratings.csv\na\n$ echo 'x y'\nx y\n```\nafter\n```text\n$ echo no\n```\n"
    assert document.read_text() == want


def test_every_model_that_the_package_names_gets_a_page():
    tree = ast.parse((DOCS / "conf.py").read_text())
    assert "public_models" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    from fastlae import models

    named = {name for name in models.__all__ if isinstance(getattr(models, name), type)}
    hidden = {"LinearAutoencoder", "Recommender"}
    own = {
        name
        for name, cls in Recommender.registry.items()
        if cls.__module__.startswith("fastlae.models") and not inspect.isabstract(cls)
    }
    assert own - hidden <= named  # a model that is missing in fastlae.models.__all__ has no page
    for name in named - hidden:
        first = (getattr(models, name).__doc__ or "").splitlines()[0]
        assert len(first) > 20, name
