"""Points of a sweep in a file, as they are measured, so that an interrupted sweep goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .._sparse import Csr
from ..errors import DataError

_FORMAT = 1


def fingerprint(*matrices: Csr) -> str:
    """A hash of interactions: the same for the same entries."""
    digest = hashlib.sha256()
    for matrix in matrices:
        digest.update(repr(matrix.shape).encode())
        for array in (matrix.indptr, matrix.indices, matrix.dense_values(np.float32)):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()[:32]


class Checkpoint:
    """A file with one JSON object a line: the first says what was swept, every other is a point with its value.

    Parameters
    ----------
    path : path-like
        Read if it is there, else begun.
    about : dict
        What the points are points of: data, metric and whatever else changes their values.

    Raises
    ------
    DataError
        If there is something else under the name.
    """

    def __init__(self, path: str | PathLike[str], about: dict[str, Any]) -> None:
        self.path = Path(path)
        self.values: dict[str, float] = {}
        head = json.dumps({"fastlae_sweep": _FORMAT, **about}, sort_keys=True)
        if self.path.exists() and self.path.stat().st_size:
            self._read(json.loads(head))
        else:
            self._append([head])

    def value(self, point: dict[str, Any]) -> float | None:
        """What was measured at a point, if it was."""
        return self.values.get(_key(point))

    def add(self, points: list[dict[str, Any]], values: list[float]) -> None:
        """Write points down; they are on the disk when this returns."""
        self.values |= {_key(point): value for point, value in zip(points, values, strict=True)}
        self._append([json.dumps({"point": p, "value": v}) for p, v in zip(points, values, strict=True)])

    def _append(self, lines: list[str]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

    def _read(self, about: dict[str, Any]) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # an interrupted write left half a line
        try:
            head, *lines = [json.loads(line) for line in whole.splitlines()]
            found = head["fastlae_sweep"]
            self.values = {_key(line["point"]): float(line["value"]) for line in lines}
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path} is no file of a sweep's points: name another for the checkpoint") from None
        if found > _FORMAT:
            raise DataError(f"{self.path} was written by a newer version of fastlae: upgrade fastlae")
        different = sorted(name for name in about if head.get(name) != about[name])
        if different:
            raise DataError(
                f"{self.path} has points of another sweep (different: {', '.join(different)}): "
                "name another file, or remove it"
            )
        if len(whole) < len(content):
            with self.path.open("rb+") as file:
                file.truncate(len(whole))


def _key(point: dict[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)
