"""The examples of all docstrings run, and every module can be imported."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import warnings

import pytest

import fastlae

# Packages that an optional dependency is needed to import.
OPTIONAL = {
    "fastlae.nn": "torch",
    **{f"fastlae.backends.{n}": n for n in ("cornac", "implicit", "irspack", "lenskit", "recbole", "rectools")},
}

MODULES = ["fastlae", *(m.name for m in pkgutil.walk_packages(fastlae.__path__, "fastlae.", onerror=lambda name: None))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    for package, needed in OPTIONAL.items():
        if f"{name}.".startswith(f"{package}.") and importlib.util.find_spec(needed) is None:
            pytest.skip(f"{package} needs {needed}")
    if name.endswith("__main__"):
        pytest.skip("importing it would run it")
    with warnings.catch_warnings():
        if name.startswith("fastlae.backends."):
            warnings.simplefilter("ignore")  # of what the other libraries import
        failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_the_walk_finds_the_examples():
    assert {"fastlae.ops.gram", "fastlae.evaluation.metrics"} <= set(MODULES)
