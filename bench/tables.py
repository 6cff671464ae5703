"""What every section of the documents is put together from: results, tables, the machine in words."""

from __future__ import annotations

import json
from typing import Any

from .harness import RESULTS


def load_all(name: str) -> list[Any]:
    """Results of one benchmark on every machine that it has been run on, the latest first."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"*/{name}.json"))]
    return sorted(found, key=lambda result: str(result.get("date", "")), reverse=True)


def load(name: str) -> Any:
    """Results of one benchmark where it was run last, or None if it has not been run."""
    return next(iter(load_all(name)), None)


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def where(result: Any) -> str:
    """The machine, in words."""
    m = result["machine"]
    versions = {"Python": m["python"], "NumPy": m["numpy"], "SciPy": m["scipy"], "fastlae": m["fastlae"]}
    told = ", ".join(f"{name} {version}" for name, version in (versions | m.get("peers", {})).items())
    return f"{m['cpu']}, {m['threads']} threads, {m['memory_gb']} GB, {m['isa']}; {told}"


def seconds(value: float) -> str:
    """A measured time with three digits."""
    if value < 0.1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"
