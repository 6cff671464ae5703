"""One command from its arguments to its exit code: errors as a user should see them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from .._progress import set_progress
from ..errors import CudaError, DataError
from .parsing import parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 2 for an error of the user's, 130 after Ctrl-C."""
    options = None
    try:
        options = parse(arguments)
        if (progress := getattr(options, "progress", "auto")) != "auto":
            set_progress(progress == "on")
        if options.command == "info":
            from .info import info

            print(info())
        elif options.command == "demo":
            from .demo import demo

            demo(options.data, seed=options.seed, num_threads=options.threads, report=options.report)
        elif options.command in ("evaluate", "sweep"):
            from . import experiments

            getattr(experiments, options.command)(options)
        else:
            from . import commands

            getattr(commands, options.command)(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"fastlae: stopped{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read has enough. Python would try to flush once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, MemoryError, ArithmeticError, ImportError, CudaError) as error:
        message = str(error) or type(error).__name__
        if isinstance(error, DataError):
            message = _in_options(message, "-column" if hasattr(options, "user_id") else "")
        print(f"fastlae: {' '.join(message.split())}", file=sys.stderr)
        return 2
    return 0


def _in_options(message: str, suffix: str) -> str:
    """What the reader calls its arguments, as the options of a command are called."""
    message = re.sub(r"\b(user|item|rating|timestamp)=", rf"--\1{suffix}", message)
    return message.replace("header=False", "--no-header").replace("columns, counted from 0", "columns, counted from 1")
