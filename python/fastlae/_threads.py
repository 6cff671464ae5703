"""How many threads a call may use: one rule, in one place."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from ._cgroups import OWN, ROOT, control_groups


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


def _cgroup_cpus(root: Path = ROOT, own: Path = OWN) -> int | None:
    """CPUs that the control groups allow, rounded up, or None if they set no limit that can be read."""
    found = [_cpus_of(folder) for folder in control_groups("cpu", root, own)]
    return min((count for count in found if count is not None), default=None)


def _cpus_of(folder: Path) -> int | None:
    try:
        limit = (folder / "cpu.max").read_text().split()
    except OSError:  # not version 2
        try:
            limit = [(folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")]
        except OSError:
            return None
    try:
        quota, period = map(int, limit)
    except ValueError:  # "max 100000": no limit
        return None
    return max(1, -(-quota // period)) if quota > 0 and period > 0 else None


@functools.cache
def _cgroup_limit() -> int | None:
    """The limit when it was first asked for: reading it takes a twentieth of a millisecond."""
    return _cgroup_cpus()


def available_threads() -> tuple[int, str]:
    """The number of threads that `num_threads=0` stands for, and why that many."""
    count, why = _affinity(), "the CPUs that this process may run on"
    limit = _cgroup_limit()
    if limit is not None and limit < count:
        count, why = limit, "the control group's CPU limit"
    return count, why


def resolve_threads(num_threads: int) -> int:
    """Check `num_threads`; 0 becomes all that this process may use."""
    if isinstance(num_threads, bool) or not hasattr(num_threads, "__index__"):
        raise TypeError(f"num_threads: expected an integer, got {num_threads!r}")
    if num_threads < 0:
        raise ValueError(f"num_threads: expected 0 (all available) or more, got {num_threads}")
    if num_threads > 4096:
        raise ValueError(f"num_threads: expected at most 4096, got {num_threads}")
    return int(num_threads) or available_threads()[0]
