"""The single dispatch point from an array's device to the compiled module. Nothing else imports `_core`."""

from __future__ import annotations

from typing import Any

from . import _core


def core_for(*arrays: Any) -> Any:
    """The compiled module for the device of `arrays`."""
    for array in arrays:
        device = getattr(array, "__dlpack_device__", None)
        if device is not None and int(device()[0]) != 1:
            raise ValueError(
                f"{type(array).__module__}.{type(array).__name__} lies on a device other than the CPU, for which this "
                "build of fastlae has no kernels: copy it to the host first"
            )
    return _core


def instruction_set() -> str:
    """The instruction set that the CPU kernels use."""
    return str(_core.isa())
