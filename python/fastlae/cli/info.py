"""`fastlae info`: what this machine has, and what of it fastlae uses."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from pathlib import Path
from typing import NamedTuple

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
_LEVELS = ("SSE", "AVX2", "AVX-512")  # what one core makes of a product doubles from each to the next
# Level of the kernels of OpenBLAS that are below AVX-512, by the name of its core.
_SSE_CORES = (
    "katmai coppermine northwood prescott banias atom core2 penryn dunnington nehalem athlon opteron opteron_sse3 "
    "barcelona nano bobcat sandybridge bulldozer piledriver steamroller"
)
_CORE_LEVELS = {**dict.fromkeys(_SSE_CORES.split(), 0), **dict.fromkeys(("haswell", "zen", "excavator"), 1)}
# Variables that make OpenBLAS choose something else than what suits the processor.
_HANDICAPS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class _Blas(NamedTuple):
    owner: str  # whose copy it is
    version: str
    core: str  # the name of the processor family whose kernels run


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
        f"  kernels use  {instruction_set()}{_forced(flags)}",
        f"threads        {threads} ({why})",
        f"memory         {'unknown' if free is None else _memory.readable(free) + ' available'}",
        f"products       own register-tiled kernels for {instruction_set()}, no BLAS",
    ]
    for library in _openblas():
        lines.append(f"BLAS nearby    {library.version}, {library.core} kernels ({library.owner})")
        if warning := _blas_warning(library, flags):
            lines.append(f"  warning      {warning}")
    found = importlib.util.find_spec("fastlae._cuda") is not None
    lines.append(f"CUDA           {cuda_status() if found else 'not in this build'}")
    return "\n".join(lines)


def _forced(flags: set[str]) -> str:
    wish = os.environ.get("FASTLAE_ISA")
    if not wish:
        return ""
    if wish != instruction_set():
        return f" (FASTLAE_ISA={wish} has no effect)"
    below = ("baseline", "avx2", "avx512").index(wish) < (_level(flags) if platform.machine() == "x86_64" else 0)
    return f" (FASTLAE_ISA={wish}{': below what this processor can' if below else ''})"


def _level(flags: set[str]) -> int:
    """Place of a processor in _LEVELS."""
    if not {"avx2", "fma"} <= flags:
        return 0
    return 2 if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"} <= flags else 1


def _blas_warning(library: _Blas, flags: set[str]) -> str:
    """What makes a library slower than it could be here, or nothing."""
    causes = [f"{name}={os.environ[name]} is set" for name in _HANDICAPS if os.environ.get(name)]
    could, does = _level(flags), _CORE_LEVELS.get(library.core.lower())  # None: AVX-512, or not x86
    if does is not None and does < could:
        text = f"{library.owner}'s BLAS uses {_LEVELS[does]}, this processor has {_LEVELS[could]}"
    elif os.environ.get("OPENBLAS_L2_SIZE"):
        text = f"{library.owner}'s BLAS may run below what this processor can"
    else:
        return ""
    because = f" ({', '.join(causes)})" if causes else ""
    return f"{text}{because}; fastlae is not affected"


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


def _openblas() -> list[_Blas]:
    """Every OpenBLAS that is loaded in this process."""
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
            owner = "SciPy" if "scipy.libs" in path else "NumPy" if "numpy.libs" in path else "the system"
            found.append(_Blas(owner, " ".join(config().decode().split()[:2]), core().decode()))
            break
    return found
