"""Runs the commands of the documents and inserts what they print: `make docs-output DATA=folder`.

The folder has ratings.csv and movies.csv of MovieLens' ml-latest-small. In a block ```` ```console ````, every line
that begins with `$ ` is a command, and all other lines are its output.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DOCUMENTS = [pathlib.Path(__file__).parent / "tutorial.md"]
BLOCK = re.compile(r"(?ms)^(```console\n)(.*?)^(```)$")


def commands(text: str) -> list[str]:
    """The commands of a block."""
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def run(command: str, folder: str) -> str:
    """What a command prints, on both streams, in the order in which it does."""
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 2):
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Rewrite the documents in place."""
    if len(sys.argv) != 2:
        sys.exit("usage: insert_output.py FOLDER (with ratings.csv and movies.csv)")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ratings.csv", "movies.csv"):
            shutil.copy(pathlib.Path(sys.argv[1]) / name, folder)

        def filled(block: re.Match[str]) -> str:
            body = "".join(f"$ {one}\n{run(one, folder)}" for one in commands(block[2]))
            return f"{block[1]}{body}{block[3]}"

        for document in DOCUMENTS:
            document.write_text(BLOCK.sub(filled, document.read_text()))
            print("wrote", document)


if __name__ == "__main__":
    main()
