"""Interactions cut by the protocols of the literature, with the ids kept, and the cut saved beside a result."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._files import replaced
from .._names import did_you_mean
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..errors import DataError
from .interactions import Interactions
from .rows import only
from .splits import _cut, _fraction, _share, split_strong

PROTOCOLS = ("strong", "weak", "leave_last_out", "by_time")
_PARTS = ("train", "validation_fold_in", "validation", "test_fold_in", "test")
_FORMAT = 1

Parts = dict[str, Interactions]


class Split:
    """Interactions cut into parts, with the seed and the parameters of the cut; made by `split`.

    Attributes
    ----------
    protocol : str
        "strong", "weak", "leave_last_out" or "by_time".
    seed : int
    params : dict
        Options of `split` that took effect.
    train : Interactions
        What to fit on.
    validation, test : Interactions or None
        What a model should find (targets); users without any have an empty row.
    validation_fold_in, test_fold_in : Interactions or None
        What a model is shown of the same users, row by row; in protocols where users are the same all along, what lies
        before the targets.
    """

    def __init__(self, protocol: str, seed: int, params: dict[str, Any], parts: dict[str, Interactions]) -> None:
        self.protocol, self.seed, self.params = protocol, seed, params
        self._parts = parts

    @property
    def train(self) -> Interactions:
        """What to fit on."""
        return self._parts["train"]

    @property
    def validation(self) -> Interactions | None:
        """Targets to choose by."""
        return self._parts.get("validation")

    @property
    def test(self) -> Interactions | None:
        """Targets to report on."""
        return self._parts.get("test")

    @property
    def validation_fold_in(self) -> Interactions | None:
        """What a model is shown of the users of `validation`."""
        return self.train if self.users_are_the_same else self._parts.get("validation_fold_in")

    @property
    def test_fold_in(self) -> Interactions | None:
        """What a model is shown of the users of `test`."""
        if not self.users_are_the_same:
            return self._parts.get("test_fold_in")
        return self.train if self.validation is None else _union(self.train, self.validation)

    @property
    def users_are_the_same(self) -> bool:
        """Whether targets belong to users of the training part."""
        return self.protocol != "strong"

    @property
    def recall(self) -> str:
        """The protocol by which `fastlae.evaluation.evaluate` divides recall: "strong" or "weak"."""
        return "weak" if self.users_are_the_same else "strong"

    def __repr__(self) -> str:
        sizes = [f"train {self.train.shape[0]:,} users"]
        for name in ("validation", "test"):
            part = self._parts.get(name)
            if part is not None:
                sizes.append(f"{name} {int((np.diff(part._csr.indptr) > 0).sum()):,}")
        return f"<Split {self.protocol}, seed {self.seed}: {', '.join(sizes)}, {self.train.shape[1]:,} items>"

    def equals(self, other: Any) -> bool:
        """Whether `other` is the same cut of the same interactions."""
        return (
            isinstance(other, Split)
            and (self.protocol, self.seed, self.params) == (other.protocol, other.seed, other.params)
            and self._parts.keys() == other._parts.keys()
            and all(part.equals(other._parts[name]) for name, part in self._parts.items())
        )

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the split to a .npz file or, under any other name, to a folder.

        A folder has one file per part, which `scipy.sparse.load_npz` reads too, and split.json with the seed and the
        parameters. Nothing appears under the name before all of it is written.

        Raises
        ------
        FileExistsError
            If there is something under the name, unless `overwrite`.
        DataError
            If ids are neither integers nor strings.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; overwrite=True replaces it")
        if path.is_dir() and not (path / "split.json").exists() and any(path.iterdir()):
            raise FileExistsError(f"{path} is a folder with something else than a split in it")
        for ids in (self.train.user_ids, self.train.item_ids):
            if ids.dtype == object:
                raise DataError(f"ids of type {type(ids[0]).__name__} cannot be saved, only integers and strings")
        about = {"format": _FORMAT, "protocol": self.protocol, "seed": self.seed, "params": self.params}
        header = json.dumps({"fastlae_split": about, "parts": list(self._parts)}, indent=1)
        arrays = {name: _arrays(part) for name, part in self._parts.items()}
        with replaced(path) as temporary:
            if path.suffix == ".npz":
                flat = {f"{name}/{key}": array for name, part in arrays.items() for key, array in part.items()}
                with temporary.open("wb") as file:
                    _savez(file, {"header": np.array(header), **flat})
                return
            temporary.mkdir()
            for name, part in arrays.items():
                _savez(temporary / f"{name}.npz", part)
            (temporary / "split.json").write_text(header + "\n")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Split:
        """Read what `save` wrote; DataError if it is no split."""
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
        try:
            if path.is_dir():
                header = json.loads((path / "split.json").read_text())
                stored: dict[str, Any] = {}
                for name in header["parts"]:
                    with np.load(path / f"{name}.npz", allow_pickle=False) as part:
                        stored[name] = dict(part)
            else:
                with np.load(path, allow_pickle=False) as file:
                    header = json.loads(str(file["header"]))
                    stored = {name: {} for name in header["parts"]}
                    for key in file.files:
                        if key != "header":
                            name, array = key.split("/")
                            stored[name][array] = file[key]
            about = header["fastlae_split"]
            if about["format"] > _FORMAT:
                raise DataError(f"{path} was written by a newer version of fastlae: upgrade fastlae")
            parts = {name: _interactions(part) for name, part in stored.items()}
            return cls(about["protocol"], about["seed"], about["params"], parts)
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is no split that fastlae saved: {' '.join(str(error).split())}") from None


def split(interactions: Interactions, protocol: str = "strong", *, seed: int = 0, **options: Any) -> Split:
    """Cut interactions into parts to train, to validate and to test on.

    Parameters
    ----------
    interactions : Interactions
        What is cut.
    protocol : {"strong", "weak", "leave_last_out", "by_time"}
        "strong": disjoint users (Liang et al. 2018), see `split_strong`. "weak": a random part of every user's items.
        "leave_last_out": a user's last item is the target, the one before it validates; users with fewer than three
        items (two without validation) stay in training whole. "by_time": the first 70 % of a user's items in time
        order train, the next 10 % validate, the rest is the target (Zhang et al. 2021): cut at floor(0.7 n) and
        floor(0.8 n), with at least one item to train on. The last two need timestamps; equal ones are put in a random
        order, as the order of a file says more than a model could know.
    seed : int
        The same seed gives the same split.
    **options
        strong: `validation`, `test` (shares or numbers of users), `fold_in`, `min_items`. weak: `test=0.2`,
        `validation=0.0` (shares of a user's items). leave_last_out: `validation=True`. by_time: `train=0.7`,
        `validation=0.1`.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If timestamps are needed and not there.
    ValueError, TypeError
        For an unknown protocol or option, or a number out of range.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.Interactions(["a"] * 10, list(range(10)), timestamps=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    >>> parts = fastlae.data.split(X, "by_time")
    >>> parts.validation.to_arrays()["item"].tolist(), parts.test.to_arrays()["item"].tolist()
    ([2], [0, 1])
    """
    if not isinstance(interactions, Interactions):
        raise TypeError(f"interactions: expected a fastlae.Interactions, got {type(interactions).__name__}")
    functions: dict[str, Callable[..., Parts]] = {
        "strong": _strong,
        "weak": _weak,
        "leave_last_out": _leave_last_out,
        "by_time": _by_time,
    }
    if protocol not in functions:
        raise ValueError(
            f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}"
            f"{did_you_mean(str(protocol), PROTOCOLS)}"
        )
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0, got {seed!r}")
    known = _OPTIONS[protocol]
    for name in options:
        if name not in known:
            raise TypeError(f"{protocol}: no option {name!r}{did_you_mean(name, known)} (there are {', '.join(known)})")
    params = {**known, **options}
    return Split(protocol, int(seed), params, functions[protocol](interactions, int(seed), **params))


_OPTIONS: dict[str, dict[str, Any]] = {
    "strong": {"validation": 0.1, "test": 0.1, "fold_in": 0.8, "min_items": 5},
    "weak": {"test": 0.2, "validation": 0.0},
    "leave_last_out": {"validation": True},
    "by_time": {"train": 0.7, "validation": 0.1},
}


def _strong(X: Interactions, seed: int, **options: Any) -> Parts:
    cut = split_strong(X._csr, seed=seed, **options)
    items = X.item_ids[cut.items]
    parts = {}
    for name, matrix, users in (
        ("train", cut.train, cut.train_users),
        ("validation_fold_in", cut.validation_fold_in, cut.validation_users),
        ("validation", cut.validation_targets, cut.validation_users),
        ("test_fold_in", cut.test_fold_in, cut.test_users),
        ("test", cut.test_targets, cut.test_users),
    ):
        csr = as_csr(matrix)
        times = None
        if X.timestamps is not None:
            rows = users[np.repeat(np.arange(len(users)), np.diff(csr.indptr))]
            times = X.timestamps[_places(X._csr, rows, cut.items[csr.indices])]
        parts[name] = Interactions._from_parts(csr, times, X.user_ids[users], items)
    return parts


def _places(csr: Csr, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where entries are stored."""
    width = csr.shape[1]
    stored = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)) * width + csr.indices
    return np.searchsorted(stored, rows * width + columns)


def _weak(X: Interactions, seed: int, *, test: float, validation: float) -> Parts:
    shares = [_fraction(test, "test")]
    if validation != 0:
        shares.append(_fraction(validation, "validation"))
    if sum(shares) >= 1:
        raise ValueError(f"test, validation: expected less than 1 together, got {sum(shares):g}")
    n = np.diff(X._csr.indptr)
    counts = [_share(share, n) for share in shares]
    if not counts[0].any():
        raise ValueError(f"test: no user has enough items for a share of {test}; the most are {n.max(initial=0)}")
    rng, threads = np.random.default_rng(seed), resolve_threads(0)
    kept, targets = _cut(X._csr, counts[0], rng, np.float32, threads)
    parts = {"train": kept, "test": targets}
    if len(shares) > 1:
        parts["train"], parts["validation"] = _cut(as_csr(kept), counts[1], rng, np.float32, threads)
    return {name: _part(X, as_csr(matrix)) for name, matrix in parts.items()}


def _part(X: Interactions, csr: Csr) -> Interactions:
    """Some of the entries of X, with their timestamps."""
    times = None
    if X.timestamps is not None:
        rows = np.repeat(np.arange(X.shape[0]), np.diff(csr.indptr))
        times = X.timestamps[_places(X._csr, rows, csr.indices.astype(np.int64))]
    return Interactions._from_parts(csr, times, X.user_ids, X.item_ids)


def _leave_last_out(X: Interactions, seed: int, *, validation: bool) -> Parts:
    n = np.diff(X._csr.indptr)
    held = 1 + bool(validation)
    enough = n > held
    test_from = n - enough
    return _by_rank(X, _time_keys(X, seed), test_from - (enough & bool(validation)), test_from)


def _by_time(X: Interactions, seed: int, *, train: float, validation: float) -> Parts:
    shares = _fraction(train, "train"), 0.0 if validation == 0 else _fraction(validation, "validation")
    if sum(shares) >= 1:
        raise ValueError(f"train, validation: expected less than 1 together, got {sum(shares):g}")
    n = np.diff(X._csr.indptr)
    first = np.maximum(_share(shares[0], n), np.minimum(n, 1))
    return _by_rank(X, _time_keys(X, seed), first, np.maximum(first, _share(sum(shares), n)))


def _time_keys(X: Interactions, seed: int) -> NDArray[Any]:
    """A key per interaction, in the order of time, equal times in random order."""
    if X.timestamps is None:
        raise DataError("this split goes by time, and the interactions have no timestamps")
    return np.lexsort((np.random.default_rng(seed).random(X.nnz), X.timestamps)).argsort()


def _by_rank(
    X: Interactions, keys: NDArray[Any], validation_from: NDArray[np.int64], test_from: NDArray[np.int64]
) -> Parts:
    """Every row cut in the order of its keys: train, validation from one rank on, test from another."""
    indptr = X._csr.indptr
    rows = np.repeat(np.arange(X.shape[0]), np.diff(indptr))
    rank = np.empty(X.nnz, np.int64)
    rank[np.lexsort((keys, rows))] = np.arange(X.nnz)
    rank -= indptr[rows]
    masks = {
        "train": rank < validation_from[rows],
        "validation": (rank >= validation_from[rows]) & (rank < test_from[rows]),
        "test": rank >= test_from[rows],
    }
    if not masks["test"].any():
        raise ValueError("no user has enough items for a target")
    return {name: _masked(X, mask) for name, mask in masks.items() if name != "validation" or mask.any()}


def _masked(X: Interactions, keep: NDArray[np.bool_]) -> Interactions:
    indptr, indices, values, times = only(keep, X._csr.indptr, X._csr.indices, X._csr.values, X.timestamps)
    return Interactions._from_parts(Csr(indptr, indices, values, X.shape), times, X.user_ids, X.item_ids)


def _union(a: Interactions, b: Interactions) -> Interactions:
    """Both together; they have the same users and items and no entry in common."""
    csr = as_csr(a.matrix + b.matrix)
    times = None
    if a.timestamps is not None and b.timestamps is not None:
        times = np.empty(csr.nnz, np.result_type(a.timestamps, b.timestamps))
        for part in (a, b):
            rows = np.repeat(np.arange(part.shape[0]), np.diff(part._csr.indptr))
            times[_places(csr, rows, part._csr.indices.astype(np.int64))] = part.timestamps
    return Interactions._from_parts(csr, times, a.user_ids, a.item_ids)


def _arrays(part: Interactions) -> dict[str, NDArray[Any]]:
    """As scipy.sparse.save_npz writes it, with ids and timestamps beside."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(b"csr"),
        "shape": np.array(part.shape),
        "indptr": part._csr.indptr,
        "indices": part._csr.indices,
        "data": part._csr.dense_values(np.float32),
        "user_ids": part.user_ids,
        "item_ids": part.item_ids,
    }
    return arrays if part.timestamps is None else arrays | {"timestamps": part.timestamps}


def _savez(file: Any, arrays: dict[str, Any]) -> None:
    np.savez_compressed(file, **arrays)


def _interactions(arrays: dict[str, NDArray[Any]]) -> Interactions:
    matrix = sp.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"]))
    csr = as_csr(matrix)
    ids = arrays["user_ids"], arrays["item_ids"]
    if (len(ids[0]), len(ids[1])) != csr.shape:
        raise DataError(f"expected as many ids as rows and columns, {csr.shape}")
    return Interactions._from_parts(csr, arrays.get("timestamps"), *ids)
