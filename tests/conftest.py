from __future__ import annotations

from hypothesis import settings

from cuda_cases import arrays  # noqa: F401 (a fixture for all of them)

# A busy machine is no failure, and a failure is the same for everybody.
settings.register_profile("fastlae", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("fastlae")
