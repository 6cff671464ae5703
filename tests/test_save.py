"""Model files: the round trip, and every way in which a file or a disk can be broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from safetensors.numpy import save_file

import fastlae
from fastlae import ModelFileError
from fastlae.models import io

RNG = np.random.default_rng(0)
X = sp.csr_matrix((RNG.random((20, 30)) < 0.25) * RNG.integers(1, 4, (20, 30)).astype(np.float32))
P = np.linspace(0.1, 0.6, 30)

MODELS = {
    "Popularity": fastlae.Popularity(),
    "LAE": fastlae.LAE(l2=3),
    "EASE": fastlae.EASE(l2=np.float32(3), user_power=np.float64(0.5)),
    "EASE, l2 per item": fastlae.EASE(l2=list(range(1, 31))),
    "DLAE": fastlae.DLAE(l2=np.array(3.0), popularity_power=-0.3),
    "EDLAE": fastlae.EDLAE(dropout=P, dtype=np.float64, num_threads=2),
    "RLAE": fastlae.RLAE(l2=2, xi=0.1, dtype=np.float32),
    "RDLAE": fastlae.RDLAE(l2=2, xi=0.3),
    "DEQL": fastlae.DEQL(l2=4, a=0.5, b=0.3, zero_diagonal=True, dtype=np.dtype("f8")),
    "DEQL, dropout per item": fastlae.DEQL(l2=0, dropout=P, user_power=0.5),
}


def same(a, b):
    np.testing.assert_array_equal(a, b)
    assert np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("form", ["items", "users", "sparse"])
@pytest.mark.parametrize("name", MODELS)
def test_round_trip_bit_for_bit(name, form, tmp_path):
    model = MODELS[name]
    linear = name != "Popularity"
    if linear:
        model.set_params(form="items" if form == "sparse" else form)
    model.fit(X)
    if linear and form == "sparse":
        model = model.sparsify(top_k=5)
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = fastlae.load(str(path))
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    new = sp.csr_matrix(RNG.random((5, 30)) < 0.3)
    for rows in (X, X[[3, 0, 9]], new):
        for got, want in zip(again.recommend(rows, k=7), model.recommend(rows, k=7), strict=True):
            same(got, want)
        same(again.score(rows), model.score(rows))
    if linear:
        assert again.form_ == model.form_
        W, V = again.weights_, model.weights_
        same(W.toarray() if sp.issparse(W) else W, V.toarray() if sp.issparse(V) else V)
        same(again.item_counts_, model.item_counts_)
    again.save(path)  # once more, over the file that it came from
    same(fastlae.load(path).score(X), model.score(X))
    again.fit(X)  # the hyperparameters are whole
    assert os.listdir(tmp_path) == [path.name]


@pytest.fixture(params=["items", "users"])
def saved(request, tmp_path):
    path = tmp_path / "model.safetensors"
    fastlae.EDLAE(l2=2, form=request.param).fit(X).save(path)
    return path


def test_cut_short(saved):
    whole = saved.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1]:
        saved.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"model.safetensors"):
            fastlae.load(saved)
    saved.write_bytes(whole + b"more")
    with pytest.raises(ModelFileError):
        fastlae.load(saved)


def test_any_altered_byte_is_noticed(saved):
    whole = saved.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    positions = [*range(header), *np.linspace(header, len(whole) - 1, 40).astype(int)]
    reference = fastlae.load(saved).weights_
    for position in positions:
        altered = bytearray(whole)
        altered[position] ^= (1, 2, 0x20, 0x80)[position % 4]
        saved.write_bytes(altered)
        try:
            again = fastlae.load(saved)
        except ModelFileError:
            continue
        else:  # white space or an escape in the outer header may vary; what is read may not
            assert position < header
            np.testing.assert_array_equal(again.weights_, reference)


def write(path, arrays=None, **metadata):
    save_file(arrays or {"x": np.ones(3)}, path, metadata=metadata or None)
    return path


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match="no such file"):
        fastlae.load(path)
    for content in (b"", b"hello", b"\0" * 100, b"PK\x03\x04" + b"x" * 50, b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="no safetensors file"):
            fastlae.load(path)
    for metadata in ({}, {"fastlae": "{}"}, {"fastlae": "[]", "sha256": "x"}, {"fastlae": "{}", "sha256": "x"}):
        with pytest.raises(ModelFileError, match="no model of fastlae"):
            fastlae.load(write(path, **metadata))
    for header in ("not json", '{"format": 1', "\u00e9"):
        with pytest.raises(ModelFileError):
            fastlae.load(write(path, fastlae=header, sha256="x"))
    with pytest.raises((ModelFileError, OSError)):
        fastlae.load(tmp_path)  # a folder


def test_newer_version_and_unknown_class(tmp_path):
    newer = json.dumps({"format": io.FORMAT_VERSION + 1, "other": "things"})
    with pytest.raises(ModelFileError, match=r"newer version of fastlae.*upgrade"):
        fastlae.load(write(tmp_path / "newer", fastlae=newer, sha256="x"))
    arrays = {"x": np.ones(3)}
    header = json.dumps({"format": 1, "model": "Oracle", "params": {}, "facts": {}})
    with pytest.raises(ModelFileError, match="class 'Oracle', which this version does not have"):
        fastlae.load(write(tmp_path / "class", arrays, fastlae=header, sha256=io._digest(header, arrays)))
    header = json.dumps({"format": 1, "model": "EASE", "params": {"depth": 3}, "facts": {}})
    with pytest.raises(ModelFileError, match="depth"):
        fastlae.load(write(tmp_path / "params", arrays, fastlae=header, sha256=io._digest(header, arrays)))


def test_places_that_cannot_be_written(tmp_path):
    model = fastlae.EASE().fit(X)
    with pytest.raises(OSError, match="nowhere"):
        model.save(tmp_path / "nowhere" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        model.save(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(fastlae.NotFittedError, match="EASE is not fitted"):
        fastlae.EASE().save(tmp_path / "unfitted")
    with pytest.raises(TypeError, match=r"num_threads: .* cannot be saved"):
        model.set_params(num_threads={}).save(tmp_path / "odd")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_full_disk_leaves_nothing_and_spares_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    assert resource
    code = """
        import os, resource, sys
        import numpy as np, scipy.sparse as sp, fastlae
        os.chdir(sys.argv[1])
        small = fastlae.EASE().fit(sp.eye(3, 4, format="csr"))
        large = fastlae.EASE().fit(sp.random(300, 300, 0.1, "csr", random_state=0))
        small.save("old")
        before = open("old", "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for name in ("old", "new"):
            try:
                large.save(name)
            except OSError as error:
                assert name in str(error), error
            else:
                raise SystemExit("no error")
        assert os.listdir(".") == ["old"], os.listdir(".")
        assert open("old", "rb").read() == before
        fastlae.load("old")
        print("done")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert result.stdout == "done\n", result.stderr


def test_an_interrupted_save_spares_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    fastlae.EASE(l2=1).fit(X).save(path)
    before = path.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fastlae.EASE(l2=2).fit(X).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("model", [fastlae.EDLAE(form="users", l2=3.0), fastlae.UserKNN(), fastlae.EASE(form="items")])
def test_what_is_learned_does_not_change_with_the_callers_arrays(model):
    mine, row = X.astype(np.float32), X[3].astype(np.float32)
    before = model.fit(mine).score(row)
    mine.indices[:] = mine.indices[::-1].copy()
    mine.data[:] = 7
    np.testing.assert_array_equal(model.score(row), before)


def test_without_users_no_row_of_theirs_is_written(tmp_path):
    log = fastlae.Interactions.from_matrix(X, item_ids=[f"item {i}" for i in range(30)])
    model = fastlae.EASE(l2=3.0, form="users").fit(log)
    model.save(tmp_path / "m", with_users=False)
    assert model.form_ == "users"
    with io.safe_open(tmp_path / "m", framework="numpy") as file:
        sizes = {name: file.get_tensor(name).size for name in file.keys()}  # noqa: SIM118
    assert {name for name, size in sizes.items() if size > 1} == {
        "ids.items", "ids.items.ends", "item_counts", "weights"
    }  # fmt: skip
    loaded = fastlae.load(tmp_path / "m")
    np.testing.assert_allclose(loaded.score(X), model.score(X), atol=1e-4)
    with pytest.raises(ValueError, match="cannot be saved without them"):
        fastlae.UserKNN().fit(log).save(tmp_path / "m", with_users=False)


def test_permissions_links_and_folders(tmp_path):
    model, path = fastlae.EASE(l2=3.0).fit(X), tmp_path / "m"
    (tmp_path / "plain").write_text("")
    model.save(path)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    path.chmod(0o640)
    (tmp_path / "current").symlink_to(path)
    model.save(tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert fastlae.load(tmp_path / "current").equals(model)
    with pytest.raises(IsADirectoryError):
        fastlae.load(tmp_path)
    with pytest.raises(OSError, match="neither a file nor a folder"):
        model.save(os.devnull)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "m", "plain"]


def test_threads_may_save_to_one_path(tmp_path):
    model = fastlae.EASE(l2=3.0).fit(X)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: model.save(tmp_path / "m"), range(40)))
    assert fastlae.load(tmp_path / "m").equals(model)
