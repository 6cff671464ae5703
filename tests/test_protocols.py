"""Splits that keep ids, saved and loaded; public data sets from folders."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae import DataError, Interactions
from fastlae.data import DATASETS, Split, load_dataset, split

SHARED = Path(os.environ.get("FASTLAE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pairs(X):
    columns = X.to_arrays()
    return set(zip(columns["user"].tolist(), columns["item"].tolist(), strict=True))


@pytest.fixture(scope="module")
def X():
    made = fastlae.data.make_interactions(n_users=120, n_items=60, seed=4).tocoo()
    times = np.random.default_rng(0).integers(0, 50, made.nnz)
    return Interactions([f"u{r}" for r in made.row], made.col * 3 + 1, timestamps=times)


def time_of(X):
    c = X.to_arrays()
    return {(u, i): t for u, i, t in zip(c["user"].tolist(), c["item"].tolist(), c["timestamp"].tolist(), strict=True)}


def test_strong(X):
    parts = split(X, "strong", seed=3)
    users = [set(p.user_ids) for p in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, users)) == len(set.union(*users)) == X.shape[0]
    assert set(parts.test_fold_in.user_ids) == users[2]
    assert not pairs(parts.test) & pairs(parts.test_fold_in)
    assert pairs(parts.train) | pairs(parts.test) | pairs(parts.validation) <= pairs(X)
    expected = fastlae.data.split_strong(X.matrix, seed=3)
    assert (parts.test.matrix != expected.test_targets).nnz == 0
    assert (parts.recall, parts.users_are_the_same) == ("strong", False)
    all_times = time_of(X)
    assert all(time_of(part)[key] == all_times[key] for part in (parts.train, parts.test) for key in pairs(part))


def test_weak(X):
    parts = split(X, "weak", seed=3, validation=0.1)
    sets = [pairs(p) for p in (parts.train, parts.validation, parts.test)]
    assert set.union(*sets) == pairs(X)
    assert sum(map(len, sets)) == X.nnz
    assert pairs(parts.test_fold_in) == sets[0] | sets[1]
    assert parts.validation_fold_in is parts.train
    n = np.diff(X.matrix.indptr)
    assert np.diff(parts.test.matrix.indptr).tolist() == (n // 5).tolist()
    assert np.diff(parts.validation.matrix.indptr).tolist() == (n // 10).tolist()
    assert split(X, "weak").validation is None


def test_by_time_and_last_out(X):
    n = np.diff(X.matrix.indptr)
    parts = split(X, "by_time")
    sizes = [np.diff(p.matrix.indptr) for p in (parts.train, parts.validation, parts.test)]
    assert sizes[0].tolist() == np.maximum(np.floor(0.7 * n + 1e-9), 1).astype(int).tolist()
    assert (sizes[0] + sizes[1]).tolist() == np.maximum(np.floor(0.8 * n + 1e-9), sizes[0]).astype(int).tolist()
    last = split(X, "leave_last_out")
    assert set(np.diff(last.test.matrix.indptr)) <= {0, 1}
    for cut in (parts, last):
        before, between, after = (time_of(p) for p in (cut.train, cut.validation, cut.test))
        assert before | between | after == time_of(X)
        for (user, _), t in after.items():
            assert all(t >= s for (u, _), s in (before | between).items() if u == user)
        for (user, _), t in between.items():
            assert all(t >= s for (u, _), s in before.items() if u == user)
    assert not split(X, "by_time", seed=1).equals(parts)  # equal times in another order
    assert split(X, "leave_last_out", validation=False).validation is None
    few = split(Interactions([1, 2, 2, 3, 3, 3], [1, 1, 2, 1, 2, 3], timestamps=[1] * 6), "leave_last_out")
    assert np.diff(few.test.matrix.indptr).tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", ["split.npz", "folder"])
@pytest.mark.parametrize("protocol", ["strong", "weak", "by_time"])
def test_saved_and_loaded(X, tmp_path, name, protocol):
    parts = X.split(protocol, seed=11)
    parts.save(tmp_path / name)
    again = Split.load(tmp_path / name)
    assert again.equals(parts)
    assert (again.seed, again.params, again.protocol) == (11, parts.params, protocol)
    assert again.test_fold_in.matrix.nnz == parts.test_fold_in.nnz
    assert repr(again) == repr(parts)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        parts.save(tmp_path / name)
    X.split(protocol, seed=12).save(tmp_path / name, overwrite=True)
    assert Split.load(tmp_path / name).seed == 12
    assert [p.name for p in tmp_path.iterdir()] == [name]
    if name == "folder":
        assert json.loads((tmp_path / name / "split.json").read_text())["fastlae_split"]["seed"] == 12
        assert sp.load_npz(tmp_path / name / "train.npz").shape == X.split(protocol, seed=12).train.shape


def test_bad_splits(X, tmp_path):
    for arguments, error, message in (
        (("stong",), ValueError, "did you mean 'strong'"),
        (("weak", {"tset": 0.1}), TypeError, "no option 'tset'; did you mean 'test'"),
        (("weak", {"test": 0.7, "validation": 0.4}), ValueError, "less than 1 together"),
        (("weak", {"test": 0.001}), ValueError, "no user has enough items"),
        (("by_time", {"train": 2}), ValueError, "between 0 and 1"),
        (("strong", {"seed": -1}), ValueError, "seed"),
    ):
        with pytest.raises(error, match=message):
            split(X, arguments[0], **(arguments[1] if len(arguments) > 1 else {}))
    with pytest.raises(DataError, match="no timestamps"):
        Interactions([1, 1, 1], [1, 2, 3]).split("by_time")
    with pytest.raises(TypeError, match=r"fastlae\.Interactions"):
        split(X.matrix)
    (tmp_path / "bad.npz").write_text("no")
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("")
    for name in ("bad.npz", "other.npz", "folder"):
        with pytest.raises(DataError, match="is no split"):
            Split.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Split.load(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="something else"):
        X.split("weak").save(tmp_path / "folder", overwrite=True)
    odd = Interactions([(1,), (1,), (1,), (1,), (1,)], list(range(5)))
    with pytest.raises(DataError, match="ids of type tuple cannot be saved"):
        odd.split("weak").save(tmp_path / "odd.npz")
    assert not (tmp_path / "odd.npz").exists()


def test_movielens_files(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,5,4.5,100\n2,5,1.0,200\n")
    for name in ("ml-20m", "ml-32m", "ml-latest-small"):
        assert load_dataset(name, tmp_path, min_rating=4).user_ids.tolist() == [1]
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    X = load_dataset("ml-1m", tmp_path, binary=False)
    assert X.matrix.toarray().tolist() == [[0, 5], [3, 0]]
    assert X.timestamps.tolist() == [978300760, 978302109]
    (tmp_path / "zipped").mkdir()
    with zipfile.ZipFile(tmp_path / "zipped" / "ml-1m.zip", "w") as archive:
        archive.write(tmp_path / "ratings.dat", "ml-1m/ratings.dat")
    assert load_dataset("ml-1m", tmp_path / "zipped", binary=False).equals(X)
    (tmp_path / "zipped" / "ml-20m.zip").write_text("no archive")
    with pytest.raises(DataError, match="no archive, or damaged"):
        load_dataset("ml-20m", tmp_path / "zipped")


def test_msd_and_netflix_files(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "train_triplets.txt").write_text("b80344d\tSOAKIMP\t1\nb80344d\tSOAPDEY\t2\n85c1f87\tSOAKIMP\t4\n")
    X = load_dataset("msd", tmp_path, binary=False)
    assert X.user_ids.tolist() == ["85c1f87", "b80344d"]
    assert X.matrix.toarray().tolist() == [[4, 0], [1, 2]]
    (tmp_path / "combined_data_1.txt").write_text(
        "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n822109,4,2005-10-19\n"
    )
    X = load_dataset("netflix", tmp_path, binary=False)
    assert X.item_ids.tolist() == [1, 2]
    assert X.select(822109).matrix.toarray().tolist() == [[5, 4]]
    (tmp_path / "combined_data_1.txt").write_text("822109,4,2005-10-19\n")
    with pytest.raises(DataError, match="expected a line such as 1:"):
        load_dataset("netflix", tmp_path)


def test_sets_that_come_cut(tmp_path):
    (tmp_path / "train.txt").write_text("0 10 11\n2 11 12\n\n")
    (tmp_path / "test.txt").write_text("0 12\n1 10\n2\n")
    parts = load_dataset("gowalla", tmp_path)
    assert pairs(parts.train) == {(0, 10), (0, 11), (2, 11), (2, 12)}
    assert pairs(parts.test) == {(0, 12), (1, 10)}
    assert parts.test.shape == parts.train.shape == (3, 3)
    with pytest.raises(TypeError, match="no filters"):
        load_dataset("gowalla", tmp_path, min_rating=3)
    (tmp_path / "test.txt").write_text("0 x\n")
    with pytest.raises(DataError, match="whole numbers"):
        load_dataset("yelp2018", tmp_path)


def test_bad_names_and_folders(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'gowalla'"):
        load_dataset("gowala")
    with pytest.raises(ValueError, match="may not be redistributed"):
        load_dataset("netflix")
    with pytest.raises(FileNotFoundError, match=r"has none of ratings\.dat, ml-1m\.zip"):
        load_dataset("ml-1m", tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_dataset("ml-1m", tmp_path / "nowhere")


def test_downloads_are_checked(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        (tmp_path / fname).write_text("0 10 11\n")
        return str(tmp_path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match=r"expected 29,858 users, .* got 1, 2 and 4"):
        load_dataset("gowalla")
    assert [url.rsplit("/", 1)[1] for url, _ in asked] == ["train.txt", "test.txt"]
    with pytest.raises(DataError, match="no archive"):
        load_dataset("ml-1m")
    assert asked[-1][1] == "md5:" + DATASETS["ml-1m"].md5


@pytest.mark.skipif(not SHARED.is_dir(), reason="no data beside the checkout")
def test_real_files():
    pytest.importorskip("pyarrow")
    assert load_dataset("ml-latest-small", SHARED / "ml-latest-small").shape == (671, 9066)
    assert load_dataset("gowalla", SHARED / "gowalla").train.shape == (29858, 40981)
    X = Interactions.read(SHARED / "ml-100k" / "ml-100k.inter")
    assert (X.shape, X.nnz) == ((943, 1682), 100_000)


def test_what_is_shown_before_a_test_keeps_its_times(X):
    parts = split(X, "by_time", seed=0)
    shown = parts.test_fold_in
    assert shown.timestamps is not None
    want = {
        (user, item): time
        for part in (parts.train, parts.validation)
        for user, item, time in zip(*(part.to_arrays()[name] for name in ("user", "item", "timestamp")), strict=True)
    }
    columns = shown.to_arrays()
    got = dict(zip(zip(columns["user"], columns["item"], strict=True), columns["timestamp"], strict=True))
    assert got == want
