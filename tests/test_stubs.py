"""The stubs of the compiled module say what it has: names, arguments, their order and their defaults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cuda_stand_in
import fastlae
from fastlae._backend import core_for, cuda

STUB = Path(fastlae.__file__).parent / "_core.pyi"


def described(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Arguments of a function in the stub, and whether they have a default."""
    arguments = function.args.args
    without = len(arguments) - len(function.args.defaults)
    return [(argument.arg, i >= without) for i, argument in enumerate(arguments)]


def compiled(text: str) -> list[tuple[str, bool]]:
    """The same from the signature that pybind11 writes into a docstring: `name(a: int, b: object = None) -> None`."""
    inside = text.split("\n")[0].split("(", 1)[1].rsplit(")", 1)[0]
    inside = re.sub(r"\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", inside))
    parts = [part.strip() for part in inside.split(",") if part.strip()]
    return [(part.split(":")[0].strip(), "=" in part) for part in parts]


def check(module, stub):
    functions = {node.name: node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.FunctionDef)}
    have = {name for name in dir(module) if not name.startswith("_")}
    assert functions.keys() == have
    for name, function in functions.items():
        assert described(function) == compiled(getattr(module, name).__doc__), name


def test_stubs_of_the_compiled_module():
    check(core_for(), STUB)


def test_stubs_of_the_cuda_module(monkeypatch):
    cuda_stand_in.install(monkeypatch)
    check(cuda(), STUB.parent / "_cuda.pyi")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f() -> None", []),
        ("f(a: int, b: typing.Annotated[list[int], 3, 4] = None) -> x", [("a", False), ("b", True)]),
    ],
)
def test_signatures_are_read(text, expected):
    assert compiled(text) == expected


def test_the_package_says_that_it_is_typed():
    assert (STUB.parent / "py.typed").exists()
