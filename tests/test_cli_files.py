"""The commands on a user's own file: what they print and write, and that every slip is one line and exit code 2."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastlae
from fastlae.cli import main
from fastlae.cli.parsing import parser

pytest.importorskip("pyarrow")


def run(capsys, *arguments):
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def here(tmp_path, monkeypatch):
    X = fastlae.data.make_interactions(n_users=150, n_items=60, seed=3).tocoo()
    rating = np.random.default_rng(0).choice([3.5, 4.0, 5.0], X.nnz)
    rows = [f"{u * 7 + 1},{i * 3 + 10},{r},{n}" for n, (u, i, r) in enumerate(zip(X.row, X.col, rating, strict=True))]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    titles = [f'{i * 3 + 10},"Film, The {i}",Drama' for i in range(60)]
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(titles) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(here, capsys):
    assert run(capsys, "fit", "ratings.csv", "--min-rating", 4, "--l2", 20, "-o", "m.safetensors")[0] == 0
    return here / "m.safetensors"


def test_fit(capsys, here):
    code, out, err = run(
        capsys, "fit", "ratings.csv", "--model", "deql", "--set", "zero_diagonal=true", "--b", 0.5, "-o", "m"
    )
    assert (code, err) == (0, "")
    assert "150 users x 60 items" in out
    loaded = fastlae.load("m")
    assert (loaded.zero_diagonal, loaded.b, loaded.num_threads) == (True, 0.5, 0)
    assert loaded.equals(fastlae.DEQL(b=0.5, zero_diagonal=True).fit(fastlae.Interactions.read("ratings.csv")))


def test_recommend(capsys, model):
    code, out, err = run(capsys, "recommend", model, "--users", 8, 15, "--names", "movies.csv", "-k", 3)
    assert (code, err) == (0, "")
    assert out.count("user ") == 2
    assert out.count("Film, The") == 6
    expected = fastlae.load(model).recommend(users=[8, 15], k=3)
    code, out, _ = run(capsys, "recommend", model, "--users", 8, 15, "-k", 3, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [int(row["item"]) for row in rows] == expected[0].ravel().tolist()
    code, out, _ = run(capsys, "recommend", model, "--users", 8, "-k", 3, "--format", "json", "--names", "movies.csv")
    assert [row["item"] for row in json.loads(out)] == expected[0][0].tolist()
    assert json.loads(out)[0]["name"].startswith("Film, The")
    code, out, _ = run(capsys, "recommend", model, "-k", 2)
    assert "and 145 more users" in out
    for name in ("top.csv", "top.json", "top.parquet"):
        assert run(capsys, "recommend", model, "-k", 2, "-o", name) == (0, "", "")
    import pyarrow.parquet

    assert pyarrow.parquet.read_table("top.parquet").num_rows == len(
        json.loads((model.parent / "top.json").read_text())
    )
    (model.parent / "new.csv").write_text("user,item\nzoe,10\nzoe,13\n")
    code, out, _ = run(capsys, "recommend", model, "--data", "new.csv", "--forbid", 16, "--items", "Film, The 2", "19",
                       "--names", "movies.csv")  # fmt: skip
    assert code == 0
    assert "user zoe (2 items)" in out
    assert out.count("Film") == 1


def test_explain_and_similar(capsys, model):
    loaded = fastlae.load(model)
    item = int(loaded.recommend(users=8, k=1)[0][0, 0])
    for asked in (item, f"film, the {(item - 10) // 3}"):
        code, out, err = run(capsys, "explain", model, "--user", 8, "--item", asked, "--names", "movies.csv", "-k", 2)
        assert (code, err) == (0, "")
        assert f"item {item} (Film, The" in out
        assert "other items" in out
    code, out, _ = run(capsys, "explain", model, "--user", 8, "--item", item, "--format", "json", "-k", 2)
    assert [row["item"] for row in json.loads(out)] == loaded.explain(8, item, k=2)[0].tolist()
    code, out, _ = run(capsys, "similar", model, 10, 13, "-k", 2, "--format", "json")
    assert [row["similar"] for row in json.loads(out)] == loaded.similar_items([10, 13], 2)[0].ravel().tolist()
    code, out, _ = run(capsys, "similar", model, 10, "-k", 2, "--names", "movies.csv")
    assert out.startswith("similar to 10 (Film, The 0)\n")


def test_evaluate(capsys, here):
    code, out, err = run(capsys, "evaluate", "ratings.csv", "--min-rating", 4, "--min-user-items", 5, "-k", 5, 10,
                         "--save-split", "cut")  # fmt: skip
    assert (code, err) == (0, "")
    for expected in ("Popularity", "EASE(l2=", "EDLAE", "DEQL", "recall@5", "ndcg@10", "strong protocol", "validation"):
        assert expected in out
    parts = fastlae.data.Split.load("cut")
    code, out, err = run(capsys, "evaluate", "ratings.csv", "--min-rating", 4, "--min-user-items", 5, "-k", 5,
                         "--model", "EASE", "--l2", 7, "--format", "json")  # fmt: skip
    model = fastlae.EASE(l2=7).fit(parts.train)
    expected = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=5, protocol="strong")
    assert json.loads(out)[0]["recall@5"] == pytest.approx(float(expected["recall@5"]), abs=1e-6)
    assert "users x 60 items" in err
    for protocol in ("weak", "leave_last_out", "by_time"):
        code, out, _ = run(capsys, "evaluate", "ratings.csv", "--protocol", protocol, "--model", "EASE", "-k", 5)
        assert code == 0
        assert protocol in out


def test_sweep(capsys, here):
    code, out, err = run(capsys, "sweep", "ratings.csv", "--model", "EASE", "--model", "DEQL", "--ridge", 5, 50,
                         "--dropout", 0.5, "--user-power", 0, "--save-model", "best", "-o", "sweep.csv")  # fmt: skip
    assert (code, out) == (0, "")
    assert "fitted on all interactions" in err
    rows = list(csv.DictReader((here / "sweep.csv").read_text().splitlines()))
    assert len(rows) == 2 + 2 * 3
    assert type(fastlae.load("best")).__name__ == rows[0]["model"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fit ratings.csv --modle EASE -o x", "unknown option '--modle'; did you mean '--model'?"),
        ("fit ratings.csv --model EESE -o x", "unknown model 'EESE'; did you mean 'EASE'"),
        ("fit ratings.csv --set l3=1 -o x", "no hyperparameter 'l3'"),
        ("fit ratings.csv --set l2 -o x", "expected NAME=VALUE"),
        ("fit ratings.csv --l2 -3 -o x", "l2: expected"),
        ("fit ratings.csv --user userid -o x", "no column 'userid' for users; did you mean 'userId'?"),
        ("fit ratings.csv --min-rating 9 -o x", "no interaction is left with min_rating=9"),
        ("fit ratings.csv --duplicates lst -o x", "did you mean 'last'"),
        ("fit ratings.csv --no-header --user who -o x", "columns are numbers, counted from 1"),
        ("fit rating.csv -o x", "no such file: rating.csv; did you mean 'ratings.csv'"),
        ("fit ratings.csv", "required: -o/--output"),
        ("fit ratings.csv -o m.safetensors", "exists; --force overwrites it"),
        ("fit ratings.csv -o nowhere/m", "no such folder: nowhere"),
        ("fit ratings.csv -o .", "is a folder"),
        ("fit m.safetensors -o x", "is no CSV file"),
        ("fit empty.csv -o x", "empty.csv is empty"),
        ("fit bad.csv -o x", "bad.csv, line 3: malformed line"),
        ("recommend ratings.csv", "ratings.csv is cut short or no safetensors file"),
        ("recommend m.safetensors --users 9", "unknown user 9; did you mean 1 or 8 or 29?"),
        ("recommend m.safetensors --users ann", "unknown user 'ann': the ids are integers"),
        ("recommend m.safetensors --items 11", "unknown item 11; did you mean 10 or"),
        ("recommend m.safetensors -k 0", "k: expected at least 1"),
        ("recommend m.safetensors --format parquet", "--format parquet needs a file"),
        ("recommend m.safetensors --format tabel", "did you mean 'table'"),
        ("recommend m.safetensors -o m.safetensors", "exists; --force"),
        ("recommend m.safetensors --names movie.csv", "did you mean 'movies.csv'"),
        ("recommend m.safetensors --names movies.csv --name-column titel", "did you mean 'title'"),
        ("similar m.safetensors flim --names movies.csv", "unknown item 'flim'"),
        ("explain m.safetensors --user 8 --item 'Flim, The 3' --names movies.csv", "did you mean 'Film, The 3'"),
        ("evaluate ratings.csv --protocol strng", "did you mean 'strong'"),
        ("evaluate ratings.csv --metrics recal", "metrics: expected some of"),
        ("evaluate ratings.csv --test 7.5", "test: expected a number between 0 and 1"),
        ("evaluate ratings.csv --timestamp when --protocol by_time", "no column 'when'"),
        ("sweep ratings.csv --model Popularity", "needs a linear model"),
        ("sweep ratings.csv --metric ndgc", "metric: expected one of"),
        ("recomend m.safetensors", "did you mean 'recommend'"),
    ],
)
def test_slips(capsys, model, line, message):
    import shlex

    (model.parent / "empty.csv").write_text("")
    (model.parent / "bad.csv").write_text("user,item\n1,2\n1\n")
    before = sorted(p.name for p in model.parent.iterdir())
    code, _, err = run(capsys, *shlex.split(line))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("fastlae")
    assert sorted(p.name for p in model.parent.iterdir()) == before


def test_force(capsys, model):
    (model.parent / "top.csv").write_text("mine")
    assert run(capsys, "recommend", model, "-k", 1, "-o", "top.csv", "--force")[0] == 0
    assert (model.parent / "top.csv").read_text().startswith("user,rank,item,score\n")


def test_models_without_ids(capsys, here):
    fastlae.EASE().fit(fastlae.Interactions.read("ratings.csv").matrix).save("plain")
    assert "knows no ids" in run(capsys, "recommend", "plain")[2]
    assert run(capsys, "fit", "ratings.csv", "--without-users", "-o", "m")[0] == 0
    assert "saved without its users" in run(capsys, "recommend", "m")[2]
    assert run(capsys, "fit", "ratings.csv", "--model", "Popularity", "-o", "p")[0] == 0
    assert "needs a model with weights" in run(capsys, "similar", "p", 10)[2]
    assert run(capsys, "recommend", "p", "--users", 8, "-k", 2)[0] == 0


def test_low_rank_and_sparse_models(capsys, here):
    for name, options in (
        ("LRR", ["--set", "k=8", "--l2", 5]),
        ("lrdlae", ["--set", "k=8"]),
        ("SLIM", ["--l2", 5]),
        ("ItemKNN", ["--set", "k=8", "--set", "metric=jaccard"]),
        ("UserKNN", ["--set", "k=8"]),
    ):
        assert run(capsys, "fit", "ratings.csv", "--model", name, *options, "-o", "m", "--force")[0] == 0
        assert run(capsys, "similar", "m", 10, "-k", 2)[0] == 0
        assert run(capsys, "explain", "m", "--user", 8, "--item", 10)[0] == 0
    assert (
        "k: expected at most the number of items"
        in run(capsys, "fit", "ratings.csv", "--model", "LRDLAE", "-o", "x")[2]
    )
    assert "needs a linear model of full rank" in run(capsys, "sweep", "ratings.csv", "--model", "SLIM")[2]
    code, _, err = run(capsys, "evaluate", "ratings.csv", "--model", "SLIM", "--l2", 5)
    assert (code, err) == (0, "")
    code, out, err = run(capsys, "evaluate", "ratings.csv", "--model", "UserKNN", "--set", "metric=jaccard")
    assert (code, err) == (0, "")
    assert "UserKNN(metric='jaccard')" in out


def test_help_has_examples(capsys):
    for command in ("fit", "recommend", "evaluate", "sweep", "explain", "similar", "demo"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert f"examples:\n  fastlae {command} " in out
    for line in (line for line in parser().format_help().splitlines() if line.startswith("  fastlae ")):
        parser().parse_args(line.split()[1:])


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that breaks")
def test_a_closed_pipe(here, model):
    line = f"{sys.executable} -m fastlae recommend m.safetensors -k 50 --format csv | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, cwd=here)
    assert (done.stdout, done.stderr) == ("user,rank,item,score\n", "")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c(here):
    code = (
        "import signal, sys, time, fastlae.cli.commands as c\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        "def slow(*a, **k):\n    print('begun', flush=True)\n    time.sleep(60)\n"
        "c.model_class('EASE').fit = slow\n"
        "from fastlae.cli import main\nsys.exit(main(['fit', 'ratings.csv', '-o', 'x']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "begun" not in process.stdout.readline():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "fastlae: stopped\n"
    assert sorted(p.name for p in here.iterdir()) == ["movies.csv", "ratings.csv"]


def test_given_hyperparameters_are_kept(capsys, here):
    code, out, _ = run(capsys, "evaluate", "ratings.csv", "--model", "EASE", "--set", "popularity_power=-0.9")
    assert code == 0
    assert "popularity_power=-0.9" in out
    code, _, err = run(capsys, "evaluate", "ratings.csv", "--set", "l22=7", "--no-tuning")
    assert code == 2
    assert "l22" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "RegularizedPCA", "--set", "k=5", "--sparsify", 5], "--sparsify needs a model with weights"),
        (["--sparsify", 0], "--sparsify: expected at least 1"),
        (["--set", "device=cuda"], "fastlae: "),
        (["--model", "WLAE", "--set", "weights=3,2"], "non-descending"),
    ],
)
def test_a_model_that_cannot_be_fitted_is_one_line(capsys, here, arguments, message):
    code, _, err = run(capsys, "fit", "ratings.csv", "-o", "never", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (here / "never").exists()


def test_an_embedding_model_explains(capsys, here):
    assert run(capsys, "fit", "ratings.csv", "--model", "MF", "--set", "dim=8", "-o", "mf")[0] == 0
    user, item = fastlae.load("mf").interactions_.user_ids[0], fastlae.load("mf").interactions_.item_ids[0]
    code, out, _ = run(capsys, "explain", "mf", "--user", user, "--item", item)
    assert code == 0
    assert "that the item has for everybody" in out
    assert run(capsys, "similar", "mf", item)[0] == 0
    assert run(capsys, "explain", "mf", "--user", user, "--item", item, "-k", 0)[0] == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("who,movieId,rating", "no column for users is named as usual (the columns are who, movieId, rating)"),
        ("1,10,4.0", "without names: --no-header, and --user, --item ... as numbers of columns, counted from 1"),
    ],
)
def test_the_reader_speaks_of_options(capsys, here, header, message):
    (here / "odd.csv").write_text(f"{header}\n1,10,4.0\n2,13,5.0\n")
    code, _, text = run(capsys, "fit", "odd.csv", "--output", "m.safetensors")
    assert code == 2
    assert message in text
    assert "user=" not in text
    if "who" in header:
        assert text.rstrip().endswith("say which it is with --user")
