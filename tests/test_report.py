"""The page of a report: whole, closed in itself, and safe with whatever names there are."""

from __future__ import annotations

import html.parser
import re

import numpy as np
import pytest

import fastlae
from fastlae.cli import main

VOID = {"meta", "img", "br"}


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order; collects pictures, text and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.pictures, self.text, self.addresses, self.tags = [], [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if tag == "img" and name == "src":
                self.pictures.append(value)
            elif name in ("src", "href"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    reader = Reader()
    text = path.read_text()
    reader.feed(text)
    assert reader.open == []
    assert text.startswith("<!doctype html>")
    assert "script" not in reader.tags
    assert reader.addresses == []  # nothing is asked of the network
    assert all(picture.startswith("data:image/svg+xml;base64,") for picture in reader.pictures)
    assert not re.search(r"url\(|@import|https?://", text.replace("http://www.w3.org", ""))
    return reader, " ".join(reader.text)


@pytest.fixture
def here(tmp_path, monkeypatch):
    X = fastlae.data.make_interactions(n_users=150, n_items=60, n_interactions=2500, seed=3).tocoo()
    lines = [f"{u},<b>{i}</b>,5" for u, i in zip(X.row, X.col, strict=True)]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n" + "\n".join(lines) + "\n")
    (tmp_path / "names.csv").write_text(
        "movieId,title\n" + "\n".join(f'<b>{i}</b>,"<script>{i}</script>"' for i in range(60)) + "\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_of_a_file(here, capsys):
    command = "evaluate ratings.csv --model Popularity --model EDLAE --sparsify 5 --names names.csv --report page.html"
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    assert "report written to page.html" in out
    assert "the split is in page.split.npz" in out
    reader, text = read(here / "page.html")
    # metrics, activity, popularity, heat maps, time and memory
    assert len(reader.pictures) == 5
    for expected in ("Recommenders on ratings.csv", "EDLAE(", "5 weights an item", "what speaks for it", "recall@20"):
        assert expected in text
    assert "<script>" in text  # as text
    figures = re.findall(r"(?m)^EDLAE\S.*?(0\.\d{4})", out)
    assert figures[0] in text
    split = fastlae.data.load_split(here / "page.split.npz")
    assert split.equals(fastlae.Interactions.read("ratings.csv").split("strong", seed=0))
    assert main(command.split()) == 2
    assert "page.html exists; --force overwrites it" in capsys.readouterr().err
    assert main([*command.split(), "--force"]) == 0


def test_of_a_saved_split(here, capsys):
    assert main(["evaluate", "ratings.csv", "--model", "EASE", "--l2", "20", "--output", "out.csv"]) == 0
    assert (here / "out.split.npz").exists()
    arguments = ["--model", "EASE", "--l2", "20", "--output", "again.csv"]
    assert main(["evaluate", "out.split.npz", *arguments]) == 0
    assert not (here / "again.split.npz").exists()

    def without_time(name):
        return [line.rsplit(",", 1)[0] for line in (here / name).read_text().splitlines()]

    assert without_time("out.csv") == without_time("again.csv")
    assert main(["evaluate", "out.split.npz", "--test", "0.3"]) == 2
    assert "is cut into parts already" in capsys.readouterr().err


def test_of_a_published_split(here, capsys):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    folder = here / "set"
    folder.mkdir()
    X = fastlae.data.make_interactions(n_users=120, n_items=70, seed=2)
    parts = fastlae.data.split_weak(X, seed=0)
    for name, part in zip(("train", "test"), parts, strict=True):
        scipy_sparse.save_npz(folder / name, part.astype(np.uint8))
    assert main(["evaluate", "set", "--model", "EASE", "--l2", "20", "--user-power", "0.5", "--format", "json"]) == 0
    out = capsys.readouterr().out
    model = fastlae.EASE(l2=20, user_power=0.5).fit(parts[0])
    want = fastlae.evaluation.evaluate(model, *parts, k=20)
    assert f'"recall@20": {round(float(want["recall@20"]), 6)}' in out
    (folder / "test.npz").unlink()
    assert main(["evaluate", "set"]) == 2
    assert "set has no split in it" in capsys.readouterr().err


def test_of_the_demo(here, capsys, monkeypatch):
    small = fastlae.data.make_interactions(n_users=250, n_items=80, seed=1)
    monkeypatch.setattr(fastlae.data, "make_interactions", lambda *, seed: small)
    assert main(["demo", "--report", "demo.html"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"item \d+\*? +\d\.\d+  item \d+ \(\+", out)  # with reasons
    reader, text = read(here / "demo.html")
    assert len(reader.pictures) == 5
    assert "fastlae on generated interactions" in text
    assert main(["demo", "--report", "demo.html"]) == 0  # a demo may be tried twice
    assert main(["demo", "--report", "no/demo.html"]) == 2
    assert "no such folder: no" in capsys.readouterr().err


def test_without_matplotlib(here, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(["evaluate", "ratings.csv", "--report", "page.html"]) == 2
    assert "a report needs matplotlib: pip install 'fastlae[plot]'" in capsys.readouterr().err
    assert not (here / "page.html").exists()


def test_sweep_with_plot_and_checkpoint(here, capsys):
    command = "sweep ratings.csv --model EASE --ridge 5 50 --checkpoint points.jsonl --plot sweep.png"
    assert main(command.split()) == 0
    assert "heat maps written to sweep.png" in capsys.readouterr().out
    assert (here / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert main([*command.split(), "--force"]) == 0
    assert "with 0 inverses" in capsys.readouterr().out
    assert main([*command.split()[:-1], "sweep.txt"]) == 2
    assert "expected a name that ends in .png, .svg or .pdf" in capsys.readouterr().err
