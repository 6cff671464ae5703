"""The guard on instruction counts: what it reports, without counting anything."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def guard():
    spec = importlib.util.spec_from_file_location("instructions", ROOT / "bench" / "instructions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded():
    return json.loads((ROOT / "bench/results/instructions.json").read_text())


def test_the_file_counts_every_kernel_of_the_program(recorded):
    source = (ROOT / "tests/native/instructions.cpp").read_text()
    for counts in recorded["counts"].values():
        assert all(f'{{"count_{kernel}", count_{kernel}}}' in source for kernel in counts)
        assert len(counts) == source.count('{"count_')
        assert min(counts.values()) > 100_000


@pytest.mark.parametrize(("factor", "reported"), [(1.0, ""), (1.02, ""), (0.98, ""), (1.25, "+25.0%"), (0.5, "-50.0%")])
def test_growth_and_fall_are_reported(guard, recorded, monkeypatch, capsys, factor, reported):
    now = json.loads(json.dumps(recorded))
    now["counts"]["baseline"]["gram"] = round(now["counts"]["baseline"]["gram"] * factor)
    monkeypatch.setattr(guard, "measure", lambda: now)
    monkeypatch.setattr(guard.shutil, "which", lambda name: name)
    if not reported:
        guard.main()
        assert "all kernels within 3%" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit, match="--update"):
        guard.main()
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("gram (baseline): ")
    assert line.endswith(reported)


def test_new_and_lost_kernels_are_reported(guard, recorded):
    now = json.loads(json.dumps(recorded))
    now["counts"]["baseline"]["other"] = now["counts"]["baseline"].pop("gram")
    del now["counts"]["avx2"]  # a machine without it
    assert list(guard.differences(recorded, now)) == ["gram (baseline): gone", "other (baseline): new"]


def test_another_compiler_is_not_compared(guard, recorded, monkeypatch, capsys):
    now = {**recorded, "compiler": "Clang 99", "counts": {}}
    monkeypatch.setattr(guard, "measure", lambda: now)
    monkeypatch.setattr(guard.shutil, "which", lambda name: name)
    guard.main()
    assert "not compared, compiler is 'Clang 99'" in capsys.readouterr().out


def test_without_valgrind_nothing_is_counted(guard, monkeypatch, capsys):
    monkeypatch.setattr(guard.shutil, "which", lambda name: None)
    guard.main()
    assert "no valgrind here" in capsys.readouterr().out
