"""The commands: what they print, and that a user's error is one line and exit code 2."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.cli import info, main


def run(capsys, *arguments):
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_info(capsys):
    code, out, err = run(capsys, "info")
    assert (code, err) == (0, "")
    for expected in (fastlae.__version__, "processor", "kernels use", "threads", "memory", "CUDA"):
        assert expected in out


def test_info_as_a_process():
    result = subprocess.run([sys.executable, "-m", "fastlae", "info"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("fastlae")


AVX2 = {"avx2", "fma"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}


@pytest.mark.parametrize(
    ("core", "flags", "variables", "expected"),
    [
        ("SkylakeX", AVX512, {}, ""),
        ("Cooperlake", AVX512, {"OPENBLAS_CORETYPE": "Cooperlake"}, ""),
        ("Zen", AVX2, {}, ""),
        ("Haswell", AVX2, {"OPENBLAS_CORETYPE": "Haswell"}, ""),
        ("Prescott", {"sse4_2"}, {}, ""),
        ("neoversen1", {"asimd"}, {}, ""),
        ("Haswell", AVX512, {}, "NumPy's BLAS uses AVX2, this processor has AVX-512; fastlae"),
        ("Sandybridge", AVX2, {}, "NumPy's BLAS uses SSE, this processor has AVX2; fastlae"),
        ("Zen", AVX512, {"OPENBLAS_CORETYPE": "Zen"}, "has AVX-512 (OPENBLAS_CORETYPE=Zen is set); fastlae"),
        ("SkylakeX", AVX512, {"OPENBLAS_L2_SIZE": "64"}, "may run below what this processor can (OPENBLAS_L2_SIZE=64"),
    ],
)
def test_info_warns_of_a_blas_below_the_processor(monkeypatch, core, flags, variables, expected):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(info, "_cpu_flags", lambda: flags)
    monkeypatch.setattr(info, "_openblas", lambda: [info._Blas("NumPy", "OpenBLAS 0.3", core)])
    report = info.info()
    assert f"BLAS nearby    OpenBLAS 0.3, {core} kernels (NumPy)" in report
    warnings = [line for line in report.splitlines() if line.startswith("  warning")]
    assert len(warnings) == bool(expected)
    assert expected in "".join(warnings)


def run_info(**variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "FASTLAE_"))} | variables
    command = [sys.executable, "-m", "fastlae", "info"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def test_info_sees_the_kernels_that_openblas_really_chose():
    if "BLAS nearby" not in run_info() or platform.machine() != "x86_64":
        pytest.skip("NumPy and SciPy use no OpenBLAS for x86-64")
    out = run_info(OPENBLAS_CORETYPE="Haswell")
    assert "Haswell kernels" in out
    if info._level(info._cpu_flags()) == 2:
        assert "BLAS uses AVX2, this processor has AVX-512 (OPENBLAS_CORETYPE=Haswell is set)" in out


def test_info_says_which_products_run():
    best = run_info().split("kernels use")[1].split()[0]
    assert f"own register-tiled kernels for {best}, no BLAS" in run_info()
    out = run_info(FASTLAE_ISA="baseline")
    assert "own register-tiled kernels for baseline" in out
    assert ("baseline (FASTLAE_ISA=baseline: below what this processor can)" in out) == (best != "baseline")
    assert "(FASTLAE_ISA=wide has no effect)" in run_info(FASTLAE_ISA="wide")


def checked(out):
    for expected in ("Popularity", "EASE", "EDLAE", "DEQL", "recall@20", "recall@50", "ndcg@100", "the same"):
        assert expected in out
    assert "DIFFER" not in out
    assert out.count("  user ") == 3


def test_demo_on_generated_data(capsys, monkeypatch):
    small = fastlae.data.make_interactions(n_users=250, n_items=80, seed=1)
    asked = []
    monkeypatch.setattr(fastlae.data, "make_interactions", lambda *, seed: asked.append(seed) or small)
    code, out, err = run(capsys, "demo", "--seed", "1", "--threads", "2")
    assert (code, err) == (0, "")
    assert asked == [1]
    checked(out)


@pytest.fixture
def folder(tmp_path):
    train, test = fastlae.data.split_weak(fastlae.data.make_interactions(n_users=120, n_items=70, seed=2), seed=0)
    sp.save_npz(tmp_path / "train.npz", train.astype(np.uint8))
    sp.save_npz(tmp_path / "test.npz", test.astype(np.uint8))
    return tmp_path


def test_demo_on_a_folder(capsys, folder):
    code, out, err = run(capsys, "demo", "--data", str(folder))
    assert (code, err) == (0, "")
    checked(out)


def damage(folder, how):
    path = folder / "train.npz"
    if how == "no folder":
        return folder / "nowhere"
    if how == "missing":
        path.unlink()
    elif how == "other content":
        np.savez(path, values=np.ones(3))
    elif how == "text":
        path.write_text("user,item\n1,2\n")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif how == "zip":
        path.write_bytes(b"PK\x03\x04" + b"x" * 40)
    elif how == "indices":
        train = sp.load_npz(path).tocsr()
        train.indices[3] = 10**6
        sp.save_npz(path, train)
    elif how == "shapes":
        sp.save_npz(path, sp.load_npz(path)[:50])
    elif how == "negative":
        sp.save_npz(path, sp.load_npz(path).astype(np.int8) * -1)
    elif how == "no targets":
        sp.save_npz(folder / "test.npz", sp.csr_matrix(sp.load_npz(path).shape))
    return folder


@pytest.mark.parametrize(
    "how",
    [
        "no folder",
        "missing",
        "other content",
        "text",
        "empty",
        "cut",
        "zip",
        "indices",
        "shapes",
        "negative",
        "no targets",
    ],
)
def test_a_bad_folder_is_one_line(capsys, folder, how):
    code, _, err = run(capsys, "demo", "--data", str(damage(folder, how)))
    assert code == 2
    assert err.startswith("fastlae: ")
    assert err.count("\n") == 1
    assert len(err) > 20


def test_a_bad_option(capsys):
    for arguments in (["demo", "--threads", "-1"], ["demo", "--seed", "-1"]):
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert err.count("\n") == 1
    for arguments in ([], ["fly"], ["demo", "--seed", "x"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that breaks")
def test_a_reader_that_leaves_is_no_error():
    result = subprocess.run(
        f"{sys.executable} -m fastlae info | head -c 1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in result.stderr


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"fastlae {fastlae.__version__}\n"


def test_models_of_torch_are_known_by_name():
    pytest.importorskip("torch")
    from fastlae.cli.commands import model_class

    assert model_class("recvae").__name__ == "RecVAE"
    with pytest.raises(ValueError, match="unknown model 'RecVEA'; did you mean 'RecVAE'"):
        model_class("RecVEA")
