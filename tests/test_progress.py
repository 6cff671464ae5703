"""The bar: who sees it, what it says, that it goes away, and that work goes on without it."""

from __future__ import annotations

import io
import re
import threading
import types

import numpy as np
import pytest

import fastlae
from fastlae import _progress
from fastlae._backend import core_for


class Terminal(io.StringIO):
    def isatty(self):
        return not super().isatty()  # ValueError where it is closed


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=stream))  # pytest changes sys.stderr itself
    monkeypatch.setattr(_progress, "_PAUSE", 0.0)
    return stream


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still unless it is told to pass."""
    now = [100.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_what_takes_long_has_a_bar_with_the_time_left(terminal, clock):
    with _progress.span("fit"), _progress.span("inverse", 0.5, 1.0) as inverse:
        clock[0] += 1
        inverse.report(0.2)  # 0.6 of the whole: it will take less than two seconds
        assert terminal.getvalue() == ""
        clock[0] += 2
        inverse.report(0.5)
        assert "\rinverse  75 % [###############-----] 0:01 left" in terminal.getvalue()
        inverse.report(0.1)  # a stage that begins anew does not take the bar back
        assert " 75 %" in terminal.getvalue().split("\r")[-1]
    assert terminal.getvalue().endswith("\r\x1b[K")  # nothing stays


def test_what_will_take_long_is_seen_early(terminal, clock):
    with _progress.span("fit") as fit:
        clock[0] += 0.6
        fit.report(0.1)
        assert "10 %" in terminal.getvalue()
        assert "0:05 left" in terminal.getvalue()


def test_no_bar_where_nobody_looks_on(terminal, clock, monkeypatch):
    monkeypatch.setattr(terminal, "isatty", lambda: False)

    def work():
        with _progress.span("fit") as fit:
            clock[0] += 10
            fit.report(0.5)
            return _progress.active()

    assert not work()
    assert terminal.getvalue() == ""
    fastlae.set_progress(True)
    try:
        assert work()
    finally:
        fastlae.set_progress("auto")
    assert "50 %" in terminal.getvalue()
    with pytest.raises(ValueError, match="mode: expected 'auto', True or False, got 'yes'"):
        fastlae.set_progress("yes")


def test_kernels_report(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "_LONG", 0.0)
    monkeypatch.setattr(_progress, "_LOOK", 0.0)
    X = fastlae.data.make_interactions(n_users=2500, n_items=2200, n_interactions=40_000)
    seen = []
    monkeypatch.setattr(_progress.Bar, "_write", lambda self, text: seen.append(text))
    fastlae.EASE(l2=10.0, num_threads=1).fit(X)
    assert any(re.search(r"inverse +\d+ %", text) for text in seen)
    assert seen[-1] == "\r\x1b[K"


def test_an_error_in_a_loop_leaves_nothing_open(terminal, clock):
    kept = None
    try:
        with _progress.span("sweep"):
            for _ in _progress.steps(range(3), "inverse"):
                raise RuntimeError("stop")
    except RuntimeError as error:
        kept = error  # holds the loop's frame, and so its open span
    assert kept is not None
    assert not _progress.active()
    with _progress.span("again") as again:
        clock[0] += 5
        again.report(0.5)
    assert "again  50 %" in terminal.getvalue()


def test_steps_and_stages_share_the_whole(terminal, clock):
    places = []
    with _progress.span("sweep"):
        for _ in _progress.steps([1, 2], "inverse"):
            first, second = _progress.stages(("a", lambda: 1.0), ("b", lambda: 3.0))
            for stage in (first, second):
                with stage as one:
                    places.append((one.text, one.begin, one.end))
    assert places == [("a", 0.0, 0.125), ("b", 0.125, 0.5), ("a", 0.5, 0.625), ("b", 0.625, 1.0)]


def test_one_bar_at_a_time(terminal, clock):
    inside = []

    def other():
        with _progress.span("other"):
            inside.append(_progress.active())

    with _progress.span("mine"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert _progress.active()
    assert inside == [False]


def test_a_callback_that_fails_ends_the_call():
    core = core_for()

    def fail(share):
        raise LookupError("no")

    core.set_progress(fail)
    try:
        with pytest.raises(LookupError, match="no"):
            fastlae.ops.spd_inverse(2.0 * np.eye(3000), num_threads=1)
    finally:
        core.set_progress(None)


def test_a_closed_stream_is_no_error(monkeypatch, clock):
    stream = Terminal()
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=stream))  # pytest changes sys.stderr itself
    with _progress.span("fit") as fit:
        clock[0] += 5
        stream.close()
        fit.report(0.5)
    with _progress.span("fit"):
        assert not _progress.active()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_clock(seconds, text):
    assert _progress.clock(seconds) == text
    assert len(_progress.line("a long name of something", 0.5, seconds, 20)) < 20
