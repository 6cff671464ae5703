"""`python -m bench NAME [options]` runs one benchmark; without a name, all that do not take long."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

from .harness import restart_without_handicaps

# They take half an hour and more, or need data or a device that is not part of the project.
LONG = ("dlr2", "embedding_scores", "embeddings", "gowalla", "gpu", "large", "lowrank", "ml1m", "neural", "sweep")


def benchmarks() -> dict[str, str]:
    """Every module here that has a `main`, with the first line of its docstring; those that read results come last."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return dict(sorted(found.items(), key=lambda item: (item[0] in ("roofline", "report"), item[0] == "report")))


def run(name: str, options: list[str]) -> None:
    """One benchmark, which finds its options in sys.argv."""
    module = importlib.import_module(f"bench.{name}")
    if "-h" in options and not hasattr(module, "arguments"):
        print(f"{name}: {benchmarks()[name]}")
        return
    sys.argv = [f"python -m bench {name}", *options]
    module.main()


def main() -> None:
    """Run the named benchmarks, or all that do not take long."""
    restart_without_handicaps()
    names, known = [], benchmarks()
    while len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        names.append(sys.argv.pop(1))
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"unknown benchmark {unknown[0]!r}; there are {', '.join(known)}")
    if names:
        for name in names:
            run(name, sys.argv[1:])
    elif sys.argv[1:]:
        print(__doc__, *(f"  {name:<14}{line}" for name, line in known.items()), sep="\n")
        print(f"\n{', '.join(LONG)} run only if they are named. `python -m bench NAME -h` has the options of one.")
    else:
        for name in known:
            if name not in LONG:
                print(f"== {name}", flush=True)
                try:
                    run(name, [])
                except SystemExit as skipped:  # data or a peer that is not here
                    print(f"{name} skipped: {skipped}")


if __name__ == "__main__":
    main()
