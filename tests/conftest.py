from __future__ import annotations

import sys

import pytest
from hypothesis import settings

from cuda_cases import arrays  # noqa: F401 (a fixture for all of them)
from fastlae import _backend

# A busy machine is no failure, and a failure is the same for everybody.
settings.register_profile("fastlae", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("fastlae")


@pytest.fixture(autouse=True)
def _cuda_module_of_each_test():
    """An emulated module must not stay: it would take pointers to device memory for such of the host."""
    yield
    _backend.cuda.cache_clear()
    if native := sys.modules.get("fastlae.nn.functional._native"):
        native.device_module.cache_clear()
