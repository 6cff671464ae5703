"""Memory is told before it is taken."""

from __future__ import annotations

import numpy as np
import pytest

import fastlae
from fastlae import _memory
from fastlae._memory import available_memory, readable, require


def system(folder, meminfo="MemTotal: 16000 kB\nMemAvailable: 8000 kB\n", **files):
    """A folder that looks like /proc and /sys/fs/cgroup; "__" in a name stands for "/"."""
    if meminfo is not None:
        (folder / "meminfo").write_text(meminfo)
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return {"proc": folder / "meminfo", "cgroup": folder, "own": folder / "own"}


def test_what_the_system_says(tmp_path):
    assert available_memory(**system(tmp_path)) == 8000 * 1024


def test_a_system_that_says_nothing(tmp_path):
    assert available_memory(**system(tmp_path, None)) is None
    assert available_memory(**system(tmp_path, "MemTotal: 1 kB\n")) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "max", "memory.current": "5"}, 8000 * 1024),
        ({"memory.max": "1000000\n", "memory.current": "400000\n"}, 600000),
        ({"memory.max": "1000000\n", "memory.current": "2000000\n"}, 0),
        ({"memory.max": "1000000\n"}, 8000 * 1024),
        ({"memory.max": "nonsense", "memory.current": "5"}, 8000 * 1024),
        ({"memory__memory.limit_in_bytes": "3000000", "memory__memory.usage_in_bytes": "1000000"}, 2000000),
        ({"memory__memory.limit_in_bytes": str(2**63 - 4096), "memory__memory.usage_in_bytes": "1"}, 8000 * 1024),
    ],
)
def test_control_group_limits(tmp_path, files, expected):
    assert available_memory(**system(tmp_path, **files)) == expected


@pytest.mark.parametrize(
    ("own", "folder", "names"),
    [
        ("0::/system.slice/app.service\n", "system.slice", ("memory.max", "memory.current")),
        ("0::/system.slice/app.service\n", "system.slice/app.service", ("memory.max", "memory.current")),
        ("3:cpu:/x\n4:memory:/app\n0::/\n", "memory/app", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
)
def test_limits_of_a_unit_and_of_what_it_is_in(tmp_path, own, folder, names):
    files = {"own": own, **{f"{folder}/{name}": text for name, text in zip(names, ("9000", "2000"), strict=True)}}
    assert available_memory(**system(tmp_path, **files)) == 7000


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "1000000", "memory.current": "900000", "memory.stat": "anon 100000\ninactive_file 700000\n"},
        {
            "memory__memory.limit_in_bytes": "1000000",
            "memory__memory.usage_in_bytes": "900000",
            "memory__memory.stat": "inactive_file 1\ntotal_inactive_file 700000\n",
        },
    ],
)
def test_cached_files_are_not_in_the_way(tmp_path, files):
    # A control group counts cached files as used, and drops them when memory is asked for.
    assert available_memory(**system(tmp_path, **files)) == 800000


def test_readable():
    assert readable(0) == "0 bytes"
    assert readable(999) == "999 bytes"
    assert readable(1500) == "1.5 kB"
    assert readable(2e9) == "2.0 GB"
    assert readable(5e15) == "5000000.0 GB"


def test_require(monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 1000)
    require(1000, "a test", "Nothing needs less.")
    with pytest.raises(MemoryError, match=r"a test needs 1.0 kB of memory, and 1.0 kB are available. Try less"):
        require(1001, "a test", "Try less.")
    monkeypatch.setattr(_memory, "available_memory", lambda: None)
    require(10**30, "a test", "Unknown is not too little.")


def test_ops_ask_before_they_allocate(monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 100)
    a = np.eye(10)
    with pytest.raises(fastlae.MemoryNeededError, match="overwrite_a=True"):
        fastlae.ops.spd_inverse(a)
    with pytest.raises(fastlae.MemoryNeededError, match="10 items"):
        fastlae.ops.gram(a)
    fastlae.ops.spd_inverse(a, overwrite_a=True)
    fastlae.ops.gram(a, out=np.empty((10, 10)))
