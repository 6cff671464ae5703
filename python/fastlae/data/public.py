"""The public data sets of the literature: downloaded once, checked, or read from a folder.

Where the publisher states a checksum it is compared. Where none is known, the numbers of users, items and interactions
that the literature reports are, and a file that does not have them is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._names import did_you_mean
from .._sparse import as_csr
from ..errors import DataError
from .ids import factorize
from .interactions import Interactions
from .protocols import Split
from .reading import need

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data"


@dataclass(frozen=True)
class Dataset:
    """Where a data set is, how it is read, and what is in it.

    Attributes
    ----------
    urls : tuple of str
        None where the terms forbid redistribution.
    files : tuple of str
        Names in the archive or folder, any one of which (all of them for sets that come cut) is read.
    md5 : str or None
        Of the archive, as its publisher states it; None where no statement is known.
    counts : tuple of int or None
        Users, items, interactions, compared after a download without `md5`.
    layout : str
        "csv", "dat" (fields between double colons), "triplets", "lists" (a user and items per line) or "netflix".
    about : str
    """

    urls: tuple[str, ...]
    files: tuple[str, ...]
    md5: str | None
    counts: tuple[int, int, int] | None
    layout: str
    about: str


def _movielens(name: str, md5: str | None, counts: tuple[int, int, int] | None, about: str) -> Dataset:
    return Dataset((f"{_GROUPLENS}/{name}.zip",), ("ratings.csv",), md5, counts, "csv", about)


def _lightgcn(name: str, counts: tuple[int, int, int]) -> Dataset:
    urls = tuple(f"{_LIGHTGCN}/{name}/{part}.txt" for part in ("train", "test"))
    return Dataset(urls, ("train.txt", "test.txt"), None, counts, "lists", f"{name}, cut as by He et al. 2020")


DATASETS: dict[str, Dataset] = {
    "ml-latest-small": _movielens("ml-latest-small", None, None, "MovieLens, some 100,000 ratings; changes over time"),
    "ml-1m": Dataset(
        (f"{_GROUPLENS}/ml-1m.zip",),
        ("ratings.dat",),
        "c4d9eecfca2ab87c1945afe126590906",
        (6_040, 3_706, 1_000_209),
        "dat",
        "MovieLens 1M",
    ),
    "ml-20m": _movielens("ml-20m", "cd245b17a1ae2cc31bb14903e1204af3", (138_493, 26_744, 20_000_263), "MovieLens 20M"),
    "ml-32m": _movielens("ml-32m", None, (200_948, 84_432, 32_000_204), "MovieLens 32M"),
    "gowalla": _lightgcn("gowalla", (29_858, 40_981, 1_027_370)),
    "yelp2018": _lightgcn("yelp2018", (31_668, 38_048, 1_561_406)),
    "amazon-book": _lightgcn("amazon-book", (52_643, 91_599, 2_984_108)),
    "msd": Dataset(
        ("http://millionsongdataset.com/sites/default/files/challenge/train_triplets.txt.zip",),
        ("train_triplets.txt",),
        None,
        (1_019_318, 384_546, 48_373_586),
        "triplets",
        "Million Song Dataset, Echo Nest taste profiles: plays",
    ),
    "netflix": Dataset(
        (),
        tuple(f"combined_data_{i}.txt" for i in (1, 2, 3, 4)),
        None,
        (480_189, 17_770, 100_480_507),
        "netflix",
        "Netflix Prize; may not be redistributed, so from a folder only",
    ),
}


def load_dataset(name: str, folder: str | PathLike[str] | None = None, **filters: Any) -> Interactions | Split:
    """A public data set, from a folder or, once, from its publisher.

    Parameters
    ----------
    name : str
        "ml-latest-small", "ml-1m", "ml-20m", "ml-32m", "gowalla", "yelp2018", "amazon-book", "msd" or "netflix".
    folder : path-like, optional
        That has the files as published, or the archive. Without it the archive is downloaded by pooch (extra
        ``fastlae[data]``) into the user's cache and checked.
    **filters
        Of `Interactions`: `min_rating`, `min_user_items`, `min_item_users`, `duplicates`, `binary`. Not for sets that
        come cut.

    Returns
    -------
    Interactions, or Split
        "gowalla", "yelp2018" and "amazon-book" come cut into a training and a test part (weak protocol).

    Raises
    ------
    DataError
        If a file is not what it should be.
    FileNotFoundError
        If the folder lacks the files.
    ValueError
        For an unknown name, and for a set that may not be redistributed without a folder.

    Examples
    --------
    >>> import fastlae
    >>> fastlae.data.DATASETS["ml-1m"].counts
    (6040, 3706, 1000209)
    """
    if name not in DATASETS:
        raise ValueError(
            f"name: expected one of {', '.join(DATASETS)}, got {name!r}{did_you_mean(str(name), DATASETS)}"
        )
    dataset = DATASETS[name]
    if dataset.layout == "lists" and filters:
        raise TypeError(f"{name} comes cut into parts, which would no longer be those published: no filters")
    if folder is not None:
        return _read(dataset, _local(dataset, name, Path(folder)), filters)
    if not dataset.urls:
        raise ValueError(f"{name} may not be redistributed: get its files and name their folder")
    pooch = need("pooch", "downloading a data set")
    checksum = None if dataset.md5 is None else f"md5:{dataset.md5}"
    files = [
        Path(pooch.retrieve(url, checksum, fname=f"{name}-{url.rsplit('/', 1)[1]}", path=pooch.os_cache("fastlae")))
        for url in dataset.urls
    ]
    if files[0].suffix == ".zip":
        files = _unpacked(files[0], dataset)
    plain = _read(dataset, files, {})
    if dataset.md5 is None:
        _check_counts(plain, dataset.counts, name)
    return _read(dataset, files, filters) if filters else plain


def load_split(path: str | PathLike[str]) -> Split:
    """A split from a folder or a file: one that `Split.save` wrote, or one that was published in two parts.

    Parameters
    ----------
    path : path-like
        What `Split.save` wrote; or a folder with train.npz and test.npz (`scipy.sparse.save_npz`, users x items), or
        with train.txt and test.txt, whose lines have a user and that user's items.

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If it is none of these.
    FileNotFoundError
        If there is nothing under that name.
    """
    folder = Path(path)
    if folder.is_dir() and not (folder / "split.json").exists():
        for ending in ("npz", "txt"):
            files = [folder / f"{part}.{ending}" for part in ("train", "test")]
            if all(file.is_file() for file in files):
                return _published_split(*files)
        raise DataError(f"{folder} has no split in it: neither split.json nor train.npz and test.npz")
    return Split.load(folder)


def _local(dataset: Dataset, name: str, folder: Path) -> list[Path]:
    """The files in a folder, or in an archive in it, or matrices train.npz and test.npz for sets that come cut."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    for place in (folder, folder / name):
        found = [place / file for file in dataset.files if (place / file).is_file()]
        if len(found) == len(dataset.files) or (found and dataset.layout == "netflix"):
            return found
        matrices = [place / "train.npz", place / "test.npz"]
        if dataset.layout == "lists" and all(file.is_file() for file in matrices):
            return matrices
    archives = [folder / url.rsplit("/", 1)[1] for url in dataset.urls if url.endswith(".zip")]
    for archive in archives:
        if archive.is_file():
            return _unpacked(archive, dataset)
    expected = ", ".join([*dataset.files, *(a.name for a in archives)])
    raise FileNotFoundError(f"{name}: {folder} has none of {expected}")


def _unpacked(archive: Path, dataset: Dataset) -> list[Path]:
    """The needed files of an archive, extracted beside it once, each under its own name."""
    target = archive.with_suffix("")
    paths = []
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = {Path(one).name: one for one in zipped.namelist()}
            for file in dataset.files:
                if file not in members:
                    raise DataError(f"{archive} has no {file}")
                path = target / file
                if not path.is_file() or path.stat().st_size != zipped.getinfo(members[file]).file_size:
                    target.mkdir(exist_ok=True)
                    temporary = path.with_suffix(".part")
                    with zipped.open(members[file]) as source, temporary.open("wb") as sink:
                        while block := source.read(1 << 22):
                            sink.write(block)
                    temporary.replace(path)
                paths.append(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{archive} is no archive, or damaged: {error}") from None
    return paths


def _read(dataset: Dataset, files: list[Path], filters: dict[str, Any]) -> Interactions | Split:
    if dataset.layout == "lists":
        return _published_split(*files)
    if dataset.layout == "csv":
        return Interactions.from_csv(files[0], **filters)
    if dataset.layout == "triplets":
        options: dict[str, Any] = {"user": 0, "item": 1, "rating": 2, "timestamp": False}
        return Interactions.from_csv(files[0], header=False, delimiter="\t", id_type="str", **options, **filters)
    if dataset.layout == "dat":
        text = files[0].read_bytes().replace(b"::", b",")
        return _from_rows([text], files[0], ("user", "item", "rating", "timestamp"), filters)
    return _from_rows(map(_netflix_rows, files), files[0], ("item", "user", "rating", "timestamp"), filters)


def _from_rows(texts: Iterable[bytes], path: Path, names: tuple[str, ...], filters: dict[str, Any]) -> Interactions:
    """Comma-separated rows in memory."""
    pa, csv = need("pyarrow", "reading a data set"), need("pyarrow.csv", "reading a data set")
    try:
        tables = [
            csv.read_csv(io.BytesIO(text), read_options=csv.ReadOptions(column_names=list(names))) for text in texts
        ]
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {' '.join(str(error).split())[:200]}") from None
    table = pa.concat_tables(tables)
    return Interactions.from_frame(table, user="user", item="item", rating="rating", timestamp="timestamp", **filters)


def _netflix_rows(path: Path) -> bytes:
    """Lines "item:", each followed by "user,rating,date" lines, as rows item,user,rating,date."""
    parts = re.split(rb"(?m)^(\d+):\s*$", path.read_bytes())
    if len(parts) < 3 or parts[0].strip():
        raise DataError(f"{path}: expected a line such as 1: before the ratings of an item")
    rows = []
    for item, block in zip(parts[1::2], parts[2::2], strict=True):
        rows.append(re.sub(rb"(?m)^(?=\d)", item + b",", block.strip()))
    return b"\n".join(row for row in rows if row)


def _published_split(train: Path, test: Path) -> Split:
    """Two files with a line "user item item ..." per user, or two matrices; ids are the numbers in the files."""
    if train.suffix == ".npz":
        matrices = [_matrix(path) for path in (train, test)]
        if matrices[0].shape != matrices[1].shape:
            raise DataError(f"{train.parent}: train.npz has shape {matrices[0].shape}, test.npz {matrices[1].shape}")
        ids = [np.arange(size) for size in matrices[0].shape]
    else:
        pairs = [_pairs(path) for path in (train, test)]
        coded = [factorize(np.concatenate([pair[side] for pair in pairs])) for side in (0, 1)]
        ids = [one.ids for one in coded]
        cut = len(pairs[0][0])
        matrices = [
            sp.csr_matrix(
                (np.ones(len(coded[0].codes[part]), np.float32), (coded[0].codes[part], coded[1].codes[part])),
                shape=(len(ids[0]), len(ids[1])),
            )
            for part in (slice(None, cut), slice(cut, None))
        ]
        for matrix in matrices:
            matrix.data[:] = 1
    names = ("train", "test")
    parts = {
        name: Interactions._from_parts(as_csr(matrix), None, ids[0], ids[1])
        for name, matrix in zip(names, matrices, strict=True)
    }
    return Split("weak", 0, {"published": train.parent.name}, parts)


def _matrix(path: Path) -> sp.csr_matrix[Any]:
    try:
        with path.open("rb") as file:
            return sp.csr_matrix(sp.load_npz(file)).astype(np.float32)
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no sparse matrix written by scipy.sparse.save_npz: {error}") from error


def _pairs(path: Path) -> tuple[Any, Any]:
    """Users and items of a file with a user and that user's items on every line."""
    lines = path.read_bytes().split(b"\n")
    sizes = np.fromiter((max(0, len(line.split()) - 1) for line in lines), np.int64, len(lines))
    try:
        users = np.array([int(line.split(None, 1)[0]) for line in lines if line.strip()], np.int64)
        numbers = np.array(b" ".join(lines).split(), np.int64)
    except ValueError as error:
        raise DataError(f"{path}: expected lines of whole numbers, a user and items: {error}") from None
    if not len(users):
        raise DataError(f"{path} is empty")
    filled = np.array([bool(line.strip()) for line in lines])
    widths = sizes[filled] + 1
    starts = np.cumsum(widths) - widths
    items = np.delete(numbers, starts)
    return np.repeat(users, widths - 1), items


def _check_counts(found: Interactions | Split, counts: tuple[int, int, int] | None, name: str) -> None:
    if counts is None:
        return
    if isinstance(found, Split):
        got = (*found.train.shape, found.train.nnz + (found.test.nnz if found.test is not None else 0))
    else:
        got = (*found.shape, found.nnz + found.n_duplicates)
    if got != counts:
        raise DataError(
            f"{name}: expected {counts[0]:,} users, {counts[1]:,} items and {counts[2]:,} interactions as published, "
            f"got {got[0]:,}, {got[1]:,} and {got[2]:,}: the download is incomplete or was changed"
        )
