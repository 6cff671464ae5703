"""What all benchmarks share: the machine's name, alternating timing, processes of their own, fitted exponents, JSON."""

from __future__ import annotations

import importlib
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
# These halve OpenBLAS on some machines, and the peers with it.
_HANDICAPS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Packages whose versions are told beside the results, if they are installed.
_PEERS = ("torch", "irspack", "implicit", "lenskit", "cornac", "recbole", "rectools", "sparse_dot_mkl", "scikit-learn")
# What the thread pools of other libraries read when they start.
_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def restart_without_handicaps() -> None:
    """Run this process again without variables that would slow NumPy and SciPy down."""
    if any(name in os.environ for name in _HANDICAPS):
        environment = {k: v for k, v in os.environ.items() if k not in _HANDICAPS}
        os.execve(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]], environment)


def folder_of(machine: dict[str, Any]) -> Path:
    """Where the results of a machine lie: one folder for each processor, instruction set and number of threads."""
    words = f"{machine['cpu']} {machine['isa']} {machine['threads']}"
    return RESULTS / re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|processor", "", words.lower())).strip("-")


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
        "peers": {name: found for name in _PEERS if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    """Version of a package, or None without it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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
    with Worker() as worker:
        result = worker.call(f"{module}:{case}", *arguments)
    return {**result, "peak_gb": round(result["peak_gb"], 2)}


class Worker:
    """A process of its own that calls functions on demand, with pools of so many threads (0: as many as it likes).

    It sleeps between calls, so contenders in different workers can take turns without disturbing each other.
    """

    def __init__(self, threads: int = 0, python: str = sys.executable) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in _HANDICAPS}
        if threads:
            environment |= dict.fromkeys(_POOLS, str(threads))
        self._process = subprocess.Popen(
            [python, "-m", "bench.harness"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=RESULTS.parents[1],
            env=environment,
        )

    def call(self, case: str, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What the function ``"module:name"`` returns; RuntimeError if it raised or the process died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([case, arguments, options]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # whatever else it prints is skipped
            if line.startswith("RESULT "):
                result: dict[str, Any] = json.loads(line[len("RESULT ") :])
                if "error" in result:
                    raise RuntimeError(result["error"])
                return result
        raise RuntimeError(f"{case}: the process ended with status {self._process.wait()}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Workers:
    """Workers by name and number of threads, started when they are first asked for."""

    def __init__(self, **python: str) -> None:
        self._python = python
        self._started: dict[tuple[str, int], Worker] = {}

    def __call__(self, name: str, threads: int = 0) -> Worker:
        """The worker of that name; `python` of the constructor has the interpreter where it is not this one."""
        key = name, threads
        if key not in self._started:
            self._started[key] = Worker(threads, self._python.get(name, sys.executable))
        return self._started[key]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._started.values():
            worker.__exit__()


def _serve() -> None:
    """The other side of `Worker`."""
    for line in sys.stdin:
        case, arguments, options = json.loads(line)
        module, name = case.split(":")
        reset_peak()
        try:
            result = getattr(importlib.import_module(module), name)(*arguments, **options)
            result["peak_gb"] = peak_gb()
        except Exception as error:
            result = {"error": f"{case}: {type(error).__name__}: {error}"}
        print("RESULT " + json.dumps(result), flush=True)


def resident_gb(field: str = "VmRSS") -> float:
    """Memory of this process now, or its peak (VmHWM).

    Not ru_maxrss, which a process inherits from the one that started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e9
    raise OSError(f"/proc/self/status has no {field}")


def reset_peak() -> float:
    """Let the peak begin anew; memory in use now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_gb()


def peak_gb() -> float:
    """Peak memory of this process since `reset_peak`, or since it began."""
    return resident_gb("VmHWM")


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What the call returns, with its seconds and the memory that it took beyond what was in use, in GB."""
    before = reset_peak()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return result, {"seconds": seconds, "added_gb": max(0.0, peak_gb() - before)}


def fit_power(x: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Exponent e and constant c of ``seconds = c x^e``: least squares in the logarithms."""
    if len(x) != len(seconds) or len(set(x)) < 2:
        raise ValueError(f"expected as many seconds as sizes, and two sizes at least; got {x} and {seconds}")
    u, v = [math.log(value) for value in x], [math.log(value) for value in seconds]
    mean_u, mean_v = statistics.fmean(u), statistics.fmean(v)
    exponent = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True)) / sum((a - mean_u) ** 2 for a in u)
    return exponent, math.exp(mean_v - exponent * mean_u)


def merge_rows(old: list[Any], new: list[Any], keys: Sequence[str]) -> list[Any]:
    """Old rows but for those that the new ones replace (equal `keys`), then the new ones, sorted by `keys`."""
    rows = {tuple(row.get(k) for k in keys): row for row in [*old, *new]}
    return [rows[key] for key in sorted(rows, key=lambda key: tuple((str(type(v)), v) for v in key))]


def save(name: str, results: Any) -> None:
    """Write results with the machine's description and the day to this machine's folder, and print them."""
    here = machine()
    text = json.dumps({"machine": here, "date": time.strftime("%Y-%m-%d"), "results": results}, indent=1)
    path = folder_of(here) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    print(text)


def earlier(name: str) -> Any:
    """Results of an earlier run on this machine, or None."""
    path = folder_of(machine()) / f"{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else None


def data_folder() -> Path:
    """The folder with ml-1m, gowalla, ...: the variable FASTLAE_DATA, or ../shared/data beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FASTLAE_DATA", default))
    if not folder.is_dir():
        raise SystemExit(f"no data: set FASTLAE_DATA to the folder that holds ml-1m and gowalla (looked in {folder})")
    return folder


if __name__ == "__main__":
    _serve()
