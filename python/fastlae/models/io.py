"""Model files: safetensors (no pickle, nothing is executed on loading), with a checksum, written atomically."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .._files import replaced
from .._sparse import Csr
from ..data.interactions import Interactions
from ..errors import DataError, ModelFileError
from .base import Recommender, is_vector, plain

FORMAT_VERSION = 2  # 1: without ids


def save(model: Recommender, path: str | PathLike[str], *, with_users: bool = True) -> None:
    """Write `model` beside `path`, then rename: a crash or a full disk leaves no half-written file under the name."""
    path = Path(path)
    arrays, facts = model._state()
    if hasattr(model, "interactions_"):
        arrays |= _ids_as_arrays(model.interactions_, with_users)
    params: dict[str, Any] = {}
    for name, value in model.get_params().items():
        if is_vector(value):
            arrays[f"param.{name}"] = np.asarray(value, dtype=np.float64)
        else:
            params[name] = plain(value)
            if not isinstance(params[name], (int, float, str, type(None))):
                raise TypeError(f"{name}: expected a number, a string or None, got {value!r}, which cannot be saved")
    # The library keeps addresses only, so the arrays must be contiguous, and stay alive.
    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    header = json.dumps(
        {"format": 2 if "ids.items" in arrays else 1, "model": type(model).__name__, "params": params, "facts": facts},
        sort_keys=True,
    )
    metadata = {"fastlae": header, "sha256": _digest(header, arrays)}
    try:
        with replaced(path) as temporary:
            save_file(arrays, temporary, metadata=metadata)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error


def load(path: str | PathLike[str]) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path-like
        Of a file that `save` wrote.

    Returns
    -------
    Recommender
        Of the class that was saved, fitted, equal in every number (`equals`), with the ids of users and items.

    Raises
    ------
    ModelFileError
        If the file is cut short, altered, no model of fastlae, or from a newer version.
    FileNotFoundError
        If there is none.

    Examples
    --------
    >>> import os, tempfile, scipy.sparse as sp, fastlae
    >>> model = fastlae.EASE(l2=1.0).fit(sp.csr_matrix([[1, 1, 0], [0, 1, 1]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "ease.safetensors"))
    ...     fastlae.load(os.path.join(folder, "ease.safetensors"))
    EASE(l2=1.0)
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.is_dir():
        raise IsADirectoryError(f"a folder, no file of a model: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if "fastlae" not in metadata or "sha256" not in metadata:
                raise ModelFileError(f"{path} is a safetensors file, but no model of fastlae")
            header = json.loads(metadata["fastlae"])
            if not isinstance(header, dict) or not isinstance(header.get("format"), int):
                raise ModelFileError(f"{path} is a safetensors file, but no model of fastlae")
            if header["format"] > FORMAT_VERSION:
                raise ModelFileError(
                    f"{path} was written by a newer version of fastlae (file format {header['format']}, this one "
                    f"reads up to {FORMAT_VERSION}): upgrade fastlae"
                )
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} is cut short or no safetensors file: {error}") from error
    if _digest(metadata["fastlae"], arrays) != metadata["sha256"]:
        raise ModelFileError(f"{path} was altered after it was written: its checksum does not match")
    cls = _class_named(header["model"], path)
    for name in [name for name in arrays if name.startswith("param.")]:
        header["params"][name.removeprefix("param.")] = arrays.pop(name)
    unknown = set(header["params"]) - set(cls._param_names())
    if unknown:
        raise ModelFileError(f"{path} has hyperparameters that this version's {cls.__name__} lacks: {sorted(unknown)}")
    model = cls(**header["params"])
    ids = {name: arrays.pop(name) for name in list(arrays) if name.startswith("ids.")}
    model._restore(arrays, header["facts"])
    if ids:
        model.interactions_ = _ids_from_arrays(ids)
    return model


def _class_named(name: Any, path: Path) -> type[Recommender]:
    """The class of a model; torch is imported only if a file names none that is known without."""
    if name not in Recommender.registry:
        try:
            from .. import nn  # noqa: F401
        except ImportError as error:
            raise ModelFileError(
                f"{path} holds a model of class {name!r}: either it needs torch, which cannot be imported here "
                f"({error}), or this version does not have it"
            ) from None
    if name not in Recommender.registry:
        raise ModelFileError(f"{path} holds a model of class {name!r}, which this version does not have")
    return Recommender.registry[name]


def _ids_as_arrays(known: Interactions, with_users: bool) -> dict[str, NDArray[Any]]:
    """Ids and, with users, the interactions. Text goes as UTF-8 with the end of every id."""
    arrays: dict[str, NDArray[Any]] = {}
    if not with_users:
        known = known._without_users()
    for name, ids in (("items", known.item_ids), ("users", known.user_ids)):
        if not len(ids):
            ids = np.zeros(0, np.int64)
        if ids.dtype.kind == "i":
            arrays[f"ids.{name}"] = ids.astype(np.int64)
        elif ids.dtype.kind == "U":
            text = [one.encode() for one in ids.tolist()]
            arrays[f"ids.{name}"] = np.frombuffer(b"".join(text), np.uint8)
            arrays[f"ids.{name}.ends"] = np.cumsum([len(one) for one in text], dtype=np.int64)
        else:
            raise DataError(f"ids of type {type(ids[0]).__name__} cannot be saved, only integers and strings")
    arrays["ids.indptr"], arrays["ids.indices"] = known._csr.indptr, known._csr.indices
    return arrays if known._csr.values is None else arrays | {"ids.values": known._csr.values}


def _ids_from_arrays(arrays: dict[str, NDArray[Any]]) -> Interactions:
    ids = []
    for name in ("users", "items"):
        stored, ends = arrays[f"ids.{name}"], arrays.get(f"ids.{name}.ends")
        if ends is not None:
            text, bounds = stored.tobytes(), [0, *ends.tolist()]
            stored = np.array([text[a:b].decode() for a, b in itertools.pairwise(bounds)], np.str_)
        ids.append(stored)
    csr = Csr(arrays["ids.indptr"], arrays["ids.indices"], arrays.get("ids.values"), (len(ids[0]), len(ids[1])))
    return Interactions._from_parts(csr, None, ids[0], ids[1])


def _digest(header: str, arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(header.encode())
    for name, array in arrays.items():
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        if array.size:
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
