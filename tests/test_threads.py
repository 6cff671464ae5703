"""Threads: how many, where they come from, and that they harm neither fork nor Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastlae
from fastlae import _threads
from fastlae._threads import _cgroup_cpus, available_threads, resolve_threads


def python(code, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_zero_means_all_that_are_available():
    assert resolve_threads(0) == available_threads()[0] >= 1
    assert resolve_threads(3) == 3
    assert resolve_threads(np.int64(2)) == 2


@pytest.mark.parametrize("wrong", [True, False, 1.0, "2", None])
def test_num_threads_is_an_integer(wrong):
    with pytest.raises(TypeError, match="num_threads: expected an integer"):
        resolve_threads(wrong)
    with pytest.raises(TypeError, match="num_threads: expected an integer"):
        fastlae.ops.gram(np.eye(2), num_threads=wrong)


def test_num_threads_is_not_negative():
    with pytest.raises(ValueError, match="num_threads: expected 0"):
        fastlae.ops.spd_inverse(np.eye(2), num_threads=-1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu.max": "a b\n"}, None),
        ({"cpu.max": ""}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "350000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "350000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "x\n", "cpu/cpu.cfs_period_us": "y\n"}, None),
    ],
)
def test_control_group(tmp_path, files, expected):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert _cgroup_cpus(tmp_path, tmp_path / "none") == expected
    unit = tmp_path / "system.slice" / "app.service"
    unit.mkdir(parents=True)
    (unit / "cpu.max").write_text("100000 100000")
    (tmp_path / "own").write_text("0::/system.slice/app.service\n")
    assert _cgroup_cpus(tmp_path, tmp_path / "own") == 1


def test_the_smaller_limit_counts(monkeypatch):
    monkeypatch.setattr(_threads, "_affinity", lambda: 8)
    monkeypatch.setattr(_threads, "_cgroup_limit", lambda: 3)
    assert available_threads() == (3, "the control group's CPU limit")
    monkeypatch.setattr(_threads, "_cgroup_limit", lambda: 16)
    assert available_threads() == (8, "the CPUs that this process may run on")
    monkeypatch.setattr(_threads, "_cgroup_limit", lambda: None)
    assert available_threads()[0] == 8


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks on this platform")
def test_affinity_mask_is_respected():
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from fastlae._threads import resolve_threads
        print(resolve_threads(0))
    """
    assert python(code) == "1"


def test_instruction_set_changes_rounding_only():
    code = """
        import numpy as np, fastlae
        from fastlae._backend import core_for
        x = np.sin(np.arange(40000.0)).reshape(200, 200)
        print(core_for().isa(), fastlae.ops.spd_inverse(x @ x.T + 50 * np.eye(200)).sum())
    """
    results = [python(code, FASTLAE_ISA=isa).split() for isa in ("baseline", "avx2", "avx512")]
    assert results[0][0] == "baseline"
    np.testing.assert_allclose([float(r[1]) for r in results], float(results[0][1]), rtol=1e-10)


def test_fork_after_a_parallel_call():
    code = """
        import os, signal
        import numpy as np, fastlae
        x = np.random.default_rng(0).random((400, 400))
        a = x @ x.T + np.eye(400)
        expected = fastlae.ops.spd_inverse(a, num_threads=3)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            same = all((fastlae.ops.spd_inverse(a, num_threads=3) == expected).all() for _ in range(3))
            os._exit(0 if same else 1)
        print(os.waitpid(child, 0)[1], (fastlae.ops.spd_inverse(a, num_threads=3) == expected).all())
    """
    assert python(code, PYTHONWARNINGS="ignore") == "0 True"


def test_calls_from_several_threads():
    from concurrent.futures import ThreadPoolExecutor

    x = np.random.default_rng(0).random((150, 150))
    a = x @ x.T + np.eye(150)
    expected = fastlae.ops.spd_inverse(a, num_threads=1)
    with ThreadPoolExecutor(4) as pool:
        for c in pool.map(lambda _: fastlae.ops.spd_inverse(a, num_threads=3), range(40)):
            np.testing.assert_array_equal(c, expected)


def test_ctrl_c_ends_a_long_call():
    # On one thread and the slowest instruction set this would take several seconds.
    code = """
        import os, signal, threading, time
        import numpy as np, fastlae
        a = np.eye(3000)
        sent = []
        def interrupt():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        try:
            for _ in range(20):
                fastlae.ops.spd_inverse(a, num_threads=1)
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - sent[0])
        print(fastlae.ops.spd_inverse(4 * np.eye(300), num_threads=2)[299, 299])
    """
    first, second = python(code, FASTLAE_ISA="baseline").splitlines()
    assert first.split()[0] == "interrupted"
    assert float(first.split()[1]) < 1
    assert second == "0.25"
