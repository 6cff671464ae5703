"""Memory is told before it is taken."""

from __future__ import annotations

from pathlib import Path

from .errors import MemoryNeededError


def available_memory(proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process can still take without swapping, or None where the system does not tell."""
    limits = []
    try:
        for line in proc.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            allowed = (cgroup / limit).read_text().strip()
            if allowed != "max":
                limits.append(max(0, int(allowed) - int((cgroup / usage).read_text())))
        except (OSError, ValueError):
            continue
    return min(limits) if limits else None


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
