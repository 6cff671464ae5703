"""The examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fastlae


def documented():
    names = [m.name for m in pkgutil.walk_packages(fastlae.ops.__path__, "fastlae.ops.")]
    return ["fastlae", *names]


@pytest.mark.parametrize("name", documented())
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
