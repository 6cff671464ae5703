"""The control groups that bound this process: a container's, a systemd unit's."""

from __future__ import annotations

from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def control_groups(controller: str, root: Path = ROOT, own: Path = OWN) -> list[Path]:
    """Folders of the control groups that the process is in, from its own out to `root`; each may set a limit.

    Of version 2, and of version 1, where `controller` has a folder of its own. A container may not see the outer ones.
    """
    folders = []
    try:
        lines = own.read_text().splitlines()
    except (OSError, ValueError):  # none, or no text
        lines = []
    for line in [*lines, "0::/", f"0:{controller}:/"]:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        inner = top / path.strip("/")
        folders += [inner, *(f for f in inner.parents if f.is_relative_to(top))]
    return list(dict.fromkeys(folders))
