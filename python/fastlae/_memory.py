"""Memory is told before it is taken."""

from __future__ import annotations

import functools
from pathlib import Path

from ._cgroups import OWN, ROOT, control_groups
from .errors import MemoryNeededError

_NO_LIMIT = 2**60  # version 1 of control groups writes a number of this size


def available_memory(proc: Path = Path("/proc/meminfo"), cgroup: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes that this process can still take without swapping, or None where the system does not tell."""
    limits = []
    try:
        for line in proc.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    for limit, usage, cached in _limits(cgroup, own):
        try:
            text = limit.read_text().strip()
            if text != "max" and int(text) < _NO_LIMIT:
                used = int(usage.read_text()) - _statistic(limit.with_name("memory.stat"), cached)
                limits.append(max(0, int(text) - used))
        except (OSError, ValueError):
            continue
    return min(limits) if limits else None


@functools.lru_cache
def _limits(cgroup: Path, own: Path) -> list[tuple[Path, Path, str]]:
    """Files that set a limit, when they were first looked for, with how much is used and the name of what is cached."""
    return [
        (folder / limit, folder / usage, cached)
        for folder in control_groups("memory", cgroup, own)
        for limit, usage, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        )
        if (folder / limit).exists()
    ]


def _statistic(path: Path, name: str) -> int:
    """A line of memory.stat. Cached files count as used, and are dropped when memory is asked for."""
    try:
        for line in path.read_text().splitlines():
            if line.split(" ")[0] == name:
                return int(line.split(" ")[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0


def readable(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def require(needed: int, what: str, instead: str) -> None:
    """Raise MemoryNeededError if `needed` bytes are not to be had; `instead` says what needs less."""
    free = available_memory()
    if free is not None and needed > free:
        raise MemoryNeededError(
            f"{what} needs {readable(needed)} of memory, and {readable(free)} are available. {instead}"
        )
