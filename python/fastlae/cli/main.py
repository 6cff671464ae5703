"""Parsing of the command line, and errors as a user should see them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="fastlae", description="Linear autoencoders for recommendation from implicit feedback."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="what this machine has and what fastlae uses of it")
    demo = commands.add_parser(
        "demo",
        help="fit, evaluate, recommend, save and reload, on made-up or your own data",
        description="Without options: on an embedded, generated data set with planted taste groups.",
        epilog="example: fastlae demo --data ml-1m   (a folder with train.npz and test.npz)",
    )
    demo.add_argument(
        "--data", metavar="FOLDER", help="folder with train.npz and test.npz (scipy sparse, users x items)"
    )
    demo.add_argument("--seed", type=int, default=0, help="of the generated data and its split (default 0)")
    demo.add_argument("--threads", type=int, default=0, help="threads to use (default: all)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 2 for an error of the user's."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "info":
            from .info import info

            print(info())
        else:
            from .demo import demo

            demo(options.data, seed=options.seed, num_threads=options.threads)
    except KeyboardInterrupt:
        print("fastlae: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (ValueError, TypeError, OSError, MemoryError, ArithmeticError) as error:
        print(f"fastlae: {error}", file=sys.stderr)
        return 2
    return 0
