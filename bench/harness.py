"""What all benchmarks share: the machine's name, alternating timing, child processes for peak memory, JSON."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
# These halve OpenBLAS on some machines, and the peers with it.
_HANDICAPS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def restart_without_handicaps() -> None:
    """Run this process again without variables that would slow NumPy and SciPy down."""
    if any(name in os.environ for name in _HANDICAPS):
        environment = {k: v for k, v in os.environ.items() if k not in _HANDICAPS}
        os.execve(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]], environment)


def machine() -> dict[str, Any]:
    """Where and with what the figures were measured."""
    import numpy
    import scipy

    import fastlae
    from fastlae._backend import instruction_set
    from fastlae._threads import available_threads

    cpu = platform.processor() or "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cpu": cpu,
        "threads": available_threads()[0],
        "memory_gb": round(memory, 1),
        "isa": instruction_set(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "fastlae": fastlae.__version__,
    }


def alternate(contenders: dict[str, Callable[[], Any]], *, repeat: int, pause: float = 0.3) -> dict[str, list[float]]:
    """Seconds of every contender, in turns A B A B, so that the machine's drift hits all alike.

    The pause lets threads that spin after a call (OpenBLAS, OpenMP) go to sleep before the next contender starts.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeat):
        for name, call in contenders.items():
            time.sleep(pause)
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def median(times: list[float]) -> float:
    """The median, rounded to a tenth of a millisecond."""
    return round(statistics.median(times), 4)


def in_child(module: str, case: str, *arguments: str) -> dict[str, Any]:
    """Run ``module.case(*arguments)`` in a process of its own; its result, with the peak of its memory."""
    code = (
        f"import json, resource, sys; from {module} import {case}; r = {case}(*sys.argv[1:]); "
        "r['peak_gb'] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2); "
        "print('RESULT ' + json.dumps(r))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.rsplit("RESULT ", 1)[1])
    return result


def save(name: str, results: Any) -> None:
    """Write results with the machine's description to bench/results, and print them."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), "results": results}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def data_folder() -> Path:
    """The folder with ml-1m, gowalla, ...: the variable FASTLAE_DATA, or ../shared/data beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FASTLAE_DATA", default))
    if not folder.is_dir():
        raise SystemExit(f"no data: set FASTLAE_DATA to the folder that holds ml-1m and gowalla (looked in {folder})")
    return folder


def peak_gb() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
