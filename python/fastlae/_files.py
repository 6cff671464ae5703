"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file or a folder under; it is renamed to `path` if the block ends well.

    A file has the permissions of the one that it replaces, or of any new file. Links are followed.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is neither a file nor a folder, and is not replaced")
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            shutil.rmtree(path)
        if temporary.is_file():
            with contextlib.suppress(OSError):  # a file system without permissions
                temporary.chmod(_permissions(path))
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.unlink()


def _permissions(path: Path) -> int:
    if path.is_file():
        return path.stat().st_mode & 0o777
    probe = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.mode")
    # The process's mask can be read by changing it alone, which other threads would feel.
    os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o666))
    try:
        return probe.stat().st_mode & 0o777
    finally:
        probe.unlink()
