"""The rings of the architecture (CONTRIBUTING.md), held by reading imports and includes."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "python/fastlae"
NATIVE = sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in {".cpp", ".hpp", ".inl", ".cu", ".cuh", ".h"})
HEAVY = {"torch", "cupy", "pandas", "matplotlib"}


def within(path, *folders):
    return any(path.is_relative_to(ROOT / folder) for folder in folders)


def includes(path):
    return re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', path.read_text(), re.MULTILINE)


def module_of(path):
    parts = path.relative_to(PYTHON.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, everywhere=True):
    """Absolute names of what a module imports; `everywhere`: inside functions too."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    tree = ast.parse(path.read_text())
    names = set()
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names |= {prefix} | {f"{prefix}.{alias.name}" for alias in node.names}
        type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if everywhere or not (type_checking or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            nodes += ast.iter_child_nodes(node)
    return names


def starts_with(names, *prefixes):
    return sorted(n for n in names if any(n == p or n.startswith(p + ".") for p in prefixes))


MODULES = sorted(PYTHON.rglob("*.py"))


def test_there_is_something_to_read():
    assert len(NATIVE) > 10
    assert len(MODULES) > 5
    assert "fastlae._core" in imports(PYTHON / "_backend.py")
    assert "fastlae._backend.core_for" in imports(PYTHON / "ops/gram.py")


@pytest.mark.parametrize("path", NATIVE, ids=lambda p: str(p.relative_to(ROOT)))
def test_includes(path):
    names = includes(path)
    if not within(path, "csrc/bindings"):
        assert not [n for n in names if n == "Python.h" or n.startswith("pybind11")]
        assert "pybind11" not in path.read_text()
        assert not [n for n in names if "bindings" in n or n.endswith("arrays.hpp")]
    if within(path, "csrc/include"):
        assert not [n for n in names if "/" in n and not n.startswith("fastlae/")]
        assert not [n for n in names if n.endswith(".hpp") and not (ROOT / "csrc/include" / n).exists()]
    if within(path, "csrc/cpu"):
        assert not [n for n in names if "cuda" in n]
    if within(path, "csrc/cuda"):
        assert not [n for n in names if (ROOT / "csrc/cpu" / n).exists() or "cpu/" in n]


@pytest.mark.parametrize("path", NATIVE, ids=lambda p: str(p.relative_to(ROOT)))
def test_threads_are_started_in_the_pool_alone(path):
    if path.relative_to(ROOT).with_suffix("") != Path("csrc/cpu/pool"):
        assert not re.search(
            r"std::(thread\b|jthread|async)|pthread_create|#\s*pragma\s+omp\s+parallel", path.read_text()
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PYTHON)))
def test_imports(path):
    names, module = imports(path), module_of(path)
    if module != "fastlae._backend":
        assert not starts_with(names, "fastlae._core", "fastlae._cuda")
    if module.startswith("fastlae.ops"):
        assert not starts_with(names, *(f"fastlae.{p}" for p in ("models", "nn", "tune", "backends", "cli")))
    if module.startswith("fastlae.models"):
        assert not starts_with(names, *(f"fastlae.{p}" for p in ("tune", "backends", "cli")))
    if not module.startswith("fastlae.nn"):
        known = {"torch"} if module == "fastlae.backends.recbole" else set()  # whose models are torch's modules
        assert not starts_with(imports(path, everywhere=False), *(HEAVY - known))


def test_import_is_light(tmp_path):
    # Stand-ins for the heavy packages, so that an import of one is seen where it is not installed too.
    for name in HEAVY:
        (tmp_path / f"{name}.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastlae; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "path",
    [p for p in ("CMakeLists.txt", "pyproject.toml", "Makefile", "tests/native/CMakeLists.txt") if (ROOT / p).exists()],
)
def test_no_flags_that_a_machine_or_a_sum_would_not_survive(path):
    code = "\n".join(line.split("#")[0] for line in (ROOT / path).read_text().splitlines())
    assert not re.search(r"march=|mtune=native|ffast-math|Ofast|use_fast_math|fopenmp(?!-simd)", code)
