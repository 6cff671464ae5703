"""The loop over epochs: progress, early stopping, the best state, checkpoints."""

from __future__ import annotations

import io
import math
import os
import pickle
import sys

import pytest

import fastlae
from fastlae.errors import ModelFileError

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")


class Small:
    """A network whose training draws random numbers, with a scheduler."""

    def __init__(self, width=3, scores=()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.module = torch.nn.Linear(5, width)
        self.generator = torch.Generator().manual_seed(1)
        self.optimizer = torch.optim.Adam(self.module.parameters(), 1e-2, fused=True)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 10)
        self.scores = list(scores)
        self.parts = {
            "module": self.module,
            "generator": self.generator,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
        }

    def run(self, epoch):
        for _ in range(4):
            x = torch.randn(8, 5, generator=self.generator)
            loss = (self.module(x) - x[:, :1]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            epoch.step(loss, 8)
        self.scheduler.step()

    def train(self, epochs, **options):
        if self.scores:
            options["validate"] = lambda: self.scores.pop(0)
        return nn.train(self.run, self.parts, epochs=epochs, steps=4, **options)

    def weights(self):
        return [p.detach().clone() for p in self.module.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_history_has_what_happened():
    history = Small(scores=[1.0, 3.0, 2.0]).train(3, metric="ndcg@5")
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert [row["ndcg@5"] for row in history] == [1.0, 3.0, 2.0]
    assert all(row["samples"] == 32 and row["seconds"] > 0 and row["speed"] > 0 for row in history)
    assert history[2]["loss"] < history[0]["loss"]
    assert not any(row["refreshed"] for row in history)


def test_losses_of_several_names_have_means_of_their_own():
    def run(epoch):
        epoch.step(torch.tensor(2.0), 3)
        epoch.step(4.0, 1)
        epoch.step(10.0, 5, "other")

    (row,) = nn.train(run, {}, epochs=1)
    assert (row["loss"], row["other"], row["samples"]) == (2.5, 10.0, 9)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_checkpoint_resumes_bit_by_bit(tmp_path, cut):
    whole = Small()
    expected = whole.train(6)
    path = tmp_path / "checkpoint"
    Small().train(cut, checkpoint=path)
    again = Small(width=3)
    again.module.weight.data.zero_()
    history = again.train(6, checkpoint=path)
    assert same(again.weights(), whole.weights())
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]
    assert again.scheduler.last_epoch == 6
    assert again.train(6, checkpoint=path) == history  # nothing is left to do


def test_a_checkpoint_remembers_the_best_and_how_long_ago_it_was(tmp_path):
    path = tmp_path / "checkpoint"
    whole = Small(scores=[1.0, 5.0, 2.0, 3.0, 4.0])
    assert len(whole.train(9, patience=3)) == 5
    Small(scores=[1.0, 5.0, 2.0]).train(3, patience=3, checkpoint=path)
    again = Small(scores=[3.0, 4.0, 9.0])
    assert len(again.train(9, patience=3, checkpoint=path)) == 5
    assert same(again.weights(), whole.weights())


def test_the_best_state_is_kept():
    short, long = Small(scores=[1.0, 2.0]), Small(scores=[1.0, 2.0, 0.5, 0.5])
    short.train(2)
    long.train(4)
    assert same(long.weights(), short.weights())
    last = Small()
    last.train(4)
    only_some = Small(scores=[1.0, 2.0, 0.5, 0.5])
    only_some.train(4, keep=())
    assert same(only_some.weights(), last.weights())


def test_early_stopping_waits_out_a_refresh():
    scores = [5.0, 1.0, 1.0, 6.0, 1.0, 1.0, 1.0]
    assert len(Small(scores=scores).train(7, patience=2)) == 3
    refreshed = iter([False, True, False, False, False, False, False])
    found = Small(scores=scores).train(7, patience=2, grace=1, refresh=lambda: next(refreshed))
    assert len(found) == 6
    assert [row["epoch"] for row in found if row["refreshed"]] == [2]


def test_a_callback_ends_it(tmp_path):
    path = tmp_path / "checkpoint"
    assert len(Small().train(9, callback=lambda history: len(history) == 2, checkpoint=path)) == 2


@pytest.mark.parametrize("content", [b"", b"junk" * 100, pickle.dumps({"fastlae_checkpoint": 1}), b"PK\x03\x04" * 9])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="cut short or no checkpoint"):
        Small().train(2, checkpoint=path)
    assert path.read_bytes() == content


class Malicious:
    def __reduce__(self):
        return sys.exit, ("executed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    path = tmp_path / "checkpoint"
    torch.save({"fastlae_checkpoint": 1, "identity": Malicious()}, path)
    with pytest.raises(ModelFileError):
        Small().train(2, checkpoint=path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "checkpoint"
    Small().train(1, checkpoint=path, identity={"hidden": 3, "model": "A"})
    with pytest.raises(ModelFileError, match="hidden 3 there, 4 here"):
        Small().train(2, checkpoint=path, identity={"hidden": 4, "model": "A"})
    other = Small(width=4)
    with pytest.raises(ModelFileError, match=r"another architecture \(module\)"):
        other.train(2, checkpoint=path, identity={"hidden": 3, "model": "A"})
    other.parts.pop("scheduler")
    with pytest.raises(ModelFileError, match="scheduler"):
        other.train(2, checkpoint=path, identity={"hidden": 3, "model": "A"})
    torch.save({"fastlae_checkpoint": 99, "identity": {}, "states": {}}, path)
    with pytest.raises(ModelFileError, match="newer version"):
        Small().train(2, checkpoint=path)


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    Small().train(1, checkpoint=path)
    before = path.read_bytes()

    def fail(state, file):
        file.write(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="full"):
        Small().train(2, checkpoint=path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_a_loss_that_is_no_number_ends_it():
    with pytest.raises(FloatingPointError, match="loss: no longer a finite number in epoch 1"):
        nn.train(lambda epoch: epoch.step(torch.tensor(math.nan), 1), {}, epochs=2)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epochs": 0}, ValueError),
        ({"epochs": 1.5}, TypeError),
        ({"epochs": 1, "patience": 0}, ValueError),
        ({"epochs": 1, "grace": -1}, ValueError),
        ({"epochs": 1, "checkpoint": "/nowhere/at/all"}, FileNotFoundError),
    ],
)
def test_refusals(options, error):
    with pytest.raises(error):
        nn.train(lambda epoch: epoch.step(1.0, 1), {}, **options)


def test_the_bar_says_how_it_goes(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(fastlae._progress, "_PAUSE", 0.0)
    monkeypatch.setattr(fastlae._progress, "_LONG", -1.0)
    monkeypatch.setattr(fastlae._progress.shutil, "get_terminal_size", lambda: os.terminal_size((200, 20)))
    fastlae.set_progress(True)
    try:
        Small(scores=[0.25, 0.5]).train(2, name="Small", metric="ndcg@100")
    finally:
        fastlae.set_progress("auto")
    text = shown.getvalue()
    assert "Small epoch 1 of 2" in text
    assert "Small epoch 2 of 2, loss " in text
    assert "ndcg@100 0.25, " in text
    assert " users/s" in text
    assert " left" in text
