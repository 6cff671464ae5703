"""How long the stages of a command take, and how much memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Stage(NamedTuple):
    """What was done, its seconds, and the peak of the process's memory meanwhile in GB (None: unknown)."""

    name: str
    seconds: float
    peak_gb: float | None


class Stages(list[Stage]):
    """Stages, in the order in which they ended."""

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure a block; one that fails is not written down."""
        known = _reset_peak()
        start = time.perf_counter()
        yield
        self.append(Stage(name, time.perf_counter() - start, _peak_gb() if known else None))


def _reset_peak() -> bool:
    """Let the peak of this process's memory begin anew; whether this platform can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_gb() -> float | None:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    return None
