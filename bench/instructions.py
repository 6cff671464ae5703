"""Instructions that the main kernels execute, counted by valgrind: the same on a busy machine as on a quiet one.

`python -m bench instructions` compares with bench/results/instructions.json and fails where a kernel's count has
changed by more than the tolerance; `python -m bench.instructions --update` writes the file. Valgrind does not know
AVX-512, so the other two instruction sets stand for it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = ROOT / "bench" / "results" / "instructions.json"
BUILD = ROOT / "build" / "instructions"
TOLERANCE = 0.03
# Counts are compared where these agree; libc is among them because the kernels use its memcpy and memset.
CONDITIONS = ("compiler", "flags", "libc", "architecture")


def _tool(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is needed: pip install {name}")
    return found


def build() -> Path:
    """The program that runs every kernel once."""
    cmake = _tool("cmake")
    options = {
        "CMAKE_MAKE_PROGRAM": _tool("ninja"),
        "CMAKE_BUILD_TYPE": "Release",
        "FASTLAE_PYTHON": "OFF",
        "FASTLAE_NATIVE_TESTS": "ON",
    }
    defines = [f"-D{name}={value}" for name, value in options.items()]
    configure = [cmake, "-G", "Ninja", "-S", str(ROOT), "-B", str(BUILD), *defines, "--log-level=WARNING"]
    for command in (configure, [cmake, "--build", str(BUILD), "--target", "instructions"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return BUILD / "tests" / "native" / "instructions"


def describe(program: Path, isa: str) -> tuple[dict[str, str], list[str]]:
    """What the counts of `program` depend on, and the functions to count, in the order in which it runs them."""
    environment = {**os.environ, "FASTLAE_ISA": isa}
    done = subprocess.run([program], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    pairs = [(name, value.strip()) for name, value in (line.split(":", 1) for line in done.stdout.splitlines())]
    functions = [value for name, value in pairs if name == "function"]
    return {**dict(pairs), "architecture": os.uname().machine}, functions


def count(program: Path, isa: str, functions: list[str]) -> dict[str, int]:
    """Instructions in each of `functions` and all that it calls."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--{what}={name}" for name in functions for what in ("dump-before", "dump-after")]
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *options, str(program)],
            env={**os.environ, "FASTLAE_ISA": isa},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        counts = {}
        for path in Path(folder).iterdir():  # each holds what was executed since the one before
            text = path.read_text()
            if left := re.search(r"^desc: Trigger: --dump-after=count_(\w+)", text, re.MULTILINE):
                counts[left[1]] = int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return {name: counts[name] for name in (f.removeprefix("count_") for f in functions)}


def measure() -> dict[str, Any]:
    """The content of the file, as it would be now."""
    program = build()
    result: dict[str, Any] = {"counts": {}}
    for isa in ("baseline", "avx2"):
        facts, functions = describe(program, isa)
        if facts["isa"] != isa:
            continue  # this machine does not have it
        result |= {name: facts[name] for name in CONDITIONS}
        result["counts"][isa] = count(program, isa, functions)
    return result


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A line for every kernel whose count has changed by more than the tolerance, in either direction."""
    for isa, counts in now["counts"].items():
        old = before["counts"].get(isa, {})
        for kernel in sorted(counts.keys() | old.keys()):
            was, is_now = old.get(kernel), counts.get(kernel)
            if was is None or is_now is None:
                yield f"{kernel} ({isa}): {'new' if was is None else 'gone'}"
            elif abs(is_now - was) > TOLERANCE * was:
                change = (is_now - was) / was
                yield f"{kernel} ({isa}): {was:,} -> {is_now:,} instructions, {change:+.1%}"


def main(update: bool = False) -> None:
    """Compare with the file, or write it."""
    if shutil.which("valgrind") is None:
        print("instructions: no valgrind here, nothing was counted")
        return
    now = measure()
    if update:
        FILE.write_text(json.dumps(now, indent=1) + "\n")
        print(f"wrote {FILE.relative_to(ROOT)}")
        return
    before = json.loads(FILE.read_text())
    for name in CONDITIONS:
        if before[name] != now[name]:
            print(f"instructions: not compared, {name} is {now[name]!r} and was {before[name]!r}")
            return
    if changed := list(differences(before, now)):
        print("\n".join(changed))
        raise SystemExit(
            f"the counts differ by more than {TOLERANCE:.0%} from {FILE.relative_to(ROOT)}; if that is meant, or a "
            "gain: python -m bench.instructions --update"
        )
    print(f"instructions: {', '.join(now['counts'])}: all kernels within {TOLERANCE:.0%}")


if __name__ == "__main__":
    main(update="--update" in sys.argv[1:])
