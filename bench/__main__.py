"""`python -m bench NAME ...`, or all of them without a name."""

from __future__ import annotations

import importlib
import sys

from .harness import restart_without_handicaps

NAMES = ("data", "gram", "spd_inverse", "recommend", "evaluate", "instructions", "ml1m", "gowalla", "report")
ON_REQUEST = ("gpu",)  # needs a CUDA device and torch


def main() -> None:
    """Run the named benchmarks."""
    restart_without_handicaps()
    names = sys.argv[1:] or list(NAMES)
    for name in names:
        if name not in (*NAMES, *ON_REQUEST):
            raise SystemExit(f"unknown benchmark {name!r}; there are {', '.join((*NAMES, *ON_REQUEST))}")
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
