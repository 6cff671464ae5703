"""`fastlae info`: what this machine has, and what of it fastlae uses."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg.blas

from .. import __version__, _memory
from .._backend import cuda_status, instruction_set
from .._threads import available_threads

_INTERESTING = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vpopcntdq",
    "amx_tile",
    "asimd",
    "sve",
)


def info() -> str:
    """The report as text."""
    threads, why = available_threads()
    free = _memory.available_memory()
    flags = _cpu_flags()
    lines = [
        f"fastlae        {__version__} (Python {platform.python_version()}, NumPy {np.__version__}, SciPy "
        f"{scipy.__version__})",
        f"processor      {_cpu_name()}",
        f"  features     {' '.join(f for f in _INTERESTING if f in flags) or 'unknown'}",
        f"  kernels use  {instruction_set()}{_forced()}",
        f"threads        {threads} ({why})",
        f"memory         {'unknown' if free is None else _memory.readable(free) + ' available'}",
        "products       own register-tiled kernels, no BLAS",
    ]
    for library in _openblas():
        lines.append(f"BLAS nearby    {library}")
    if os.environ.get("OPENBLAS_CORETYPE"):
        lines.append(
            f"  warning      OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']} is set: NumPy and SciPy may run below "
            "what this processor can; fastlae itself is not affected"
        )
    found = importlib.util.find_spec("fastlae._cuda") is not None
    lines.append(f"CUDA           {cuda_status() if found else 'not in this build'}")
    return "\n".join(lines)


def _forced() -> str:
    wish = os.environ.get("FASTLAE_ISA")
    return f" (FASTLAE_ISA={wish})" if wish else ""


def _cpu_info(field: str) -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.split(":")[0].strip() == field:
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def _cpu_name() -> str:
    return f"{_cpu_info('model name') or platform.processor() or 'unknown'} ({platform.machine()})"


def _cpu_flags() -> set[str]:
    return set((_cpu_info("flags") or _cpu_info("Features")).split())


def _openblas() -> list[str]:
    """Every OpenBLAS that NumPy and SciPy have loaded, with the kernels that it chose."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    found = []
    for path in sorted({line.split()[-1] for line in maps.splitlines() if "openblas" in line.split()[-1]}):
        library = ctypes.CDLL(path)
        for prefix, suffix in (("scipy_", ""), ("scipy_", "64_"), ("", ""), ("", "64_")):
            config = getattr(library, f"{prefix}openblas_get_config{suffix}", None)
            core = getattr(library, f"{prefix}openblas_get_corename{suffix}", None)
            if config is None or core is None:
                continue
            config.restype = core.restype = ctypes.c_char_p
            owner = "SciPy" if "scipy.libs" in path else "NumPy" if "numpy.libs" in path else "other"
            found.append(f"{' '.join(config().decode().split()[:2])}, {core().decode()} kernels ({owner})")
            break
    return found
