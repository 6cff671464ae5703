"""Progress of what takes long: a bar with the time left, where somebody looks on.

A computation opens a `span`; what it calls opens spans within it, for shares of it; kernels report to the innermost
one as they poll. The outermost span owns the bar, which appears when the whole will take more than two seconds and
leaves nothing behind. In "auto" mode there is a bar where standard error is a terminal: not in notebooks, pipes or
services.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ._backend import report_progress_to

T = TypeVar("T")

_mode: str | bool = "auto"
_local = threading.local()
_one_bar = threading.Lock()  # two bars would write over each other
_LONG = 2.0  # seconds: what takes less needs no bar
_LOOK = 0.5  # seconds after which the whole is estimated
_PAUSE = 0.1  # seconds between two looks of the bar


def set_progress(mode: str | bool) -> None:
    """Say whether computations of more than two seconds show a bar with the time left.

    Parameters
    ----------
    mode : "auto", True or False
        "auto", from the start: where standard error is a terminal. True: everywhere, in notebooks too.

    Examples
    --------
    >>> import fastlae
    >>> fastlae.set_progress(False)
    >>> fastlae.set_progress("auto")
    """
    global _mode
    if not isinstance(mode, bool) and mode != "auto":
        raise ValueError(f"mode: expected 'auto', True or False, got {mode!r}")
    _mode = mode


def _wanted() -> bool:
    if isinstance(_mode, bool):
        return _mode
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


class Bar:
    """One line on standard error, rewritten as the share of the work that is done grows."""

    def __init__(self) -> None:
        self.start = self.looked = time.monotonic()
        self.share, self.shown = 0.0, False

    def update(self, share: float, text: str) -> None:
        """The share of the whole that is done, 0 to 1; a smaller one than before is passed over."""
        now = time.monotonic()
        self.share = max(self.share, min(1.0, share))
        if now - self.looked < _PAUSE:
            return
        self.looked = now
        elapsed = now - self.start
        if not self.shown:
            whole = elapsed / self.share if self.share > 0 else float("inf")
            self.shown = elapsed > _LONG or (elapsed > _LOOK and self.share > 0.01 and whole > _LONG)
        if self.shown:
            self._write("\r" + line(text, self.share, elapsed, shutil.get_terminal_size().columns) + "\x1b[K")

    def close(self) -> None:
        """Wipe the line."""
        if self.shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody looks on any more
            sys.stderr.write(text)
            sys.stderr.flush()


def line(text: str, share: float, elapsed: float, width: int) -> str:
    """The line that a bar shows.

    Examples
    --------
    >>> line("inverse", 0.25, 60.0, 60)
    'inverse  25 % [#####---------------] 3:00 left'
    """
    left = "" if share < 0.01 else f" {clock(elapsed * (1 - share) / share)} left"
    head = f"{text} {100 * share:3.0f} %"
    cells = min(20, width - len(head) - len(left) - 4)
    bar = f" [{'#' * round(cells * share):-<{cells}}]" if cells >= 5 else ""
    return (head + bar + left)[: max(1, width - 1)]


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Span:
    """A share of a computation, from `begin` to `end` of the whole that the bar shows."""

    def __init__(self, bar: Bar | None, text: str, begin: float, end: float) -> None:
        self.bar, self.text, self.begin, self.end = bar, text, begin, end

    def report(self, share: float) -> None:
        """What part of this span is done, 0 to 1; from any thread."""
        if self.bar is not None:
            self.bar.update(self.begin + share * (self.end - self.begin), self.text)


def _stack() -> list[Span]:
    if not hasattr(_local, "spans"):
        _local.spans = []
    spans: list[Span] = _local.spans
    return spans


def active() -> bool:
    """Whether this thread's computation has a bar."""
    spans = _stack()
    return bool(spans) and spans[-1].bar is not None


def current() -> Span | None:
    """The innermost span, for work that reports from other threads; None where nobody looks on."""
    return _stack()[-1] if active() else None


def _from_kernel(share: float) -> None:
    if active():
        _stack()[-1].report(share)


@contextlib.contextmanager
def span(text: str, begin: float = 0.0, end: float = 1.0) -> Iterator[Span]:
    """A computation, or the share of it from `begin` to `end` of the enclosing span.

    Parameters
    ----------
    text : str
        What is done, in a few words.
    begin, end : float
        Within the enclosing span; without one, this is the whole.
    """
    spans = _stack()
    if spans:
        outer = spans[-1]
        width = outer.end - outer.begin
        inner = Span(outer.bar, text, outer.begin + begin * width, outer.begin + end * width)
        spans.append(inner)
        try:
            yield inner
            inner.report(1.0)
        finally:
            _leave(inner)
        return
    mine = _wanted() and _one_bar.acquire(blocking=False)
    bar = Bar() if mine else None
    whole = Span(bar, text, 0.0, 1.0)
    spans.append(whole)
    try:
        if bar is not None:
            report_progress_to(_from_kernel)
        yield whole
    finally:
        _leave(whole)
        if bar is not None:
            report_progress_to(None)
            _one_bar.release()
            bar.close()


def _leave(one: Span) -> None:
    """Close a span and what is open within it: a loop over `steps` that an error ends closes its span late."""
    spans = _stack()
    if one in spans:
        del spans[spans.index(one) :]


def stages(*parts: tuple[str, Callable[[], float]]) -> list[contextlib.AbstractContextManager[Any]]:
    """Spans one after the other within the present one.

    Parameters
    ----------
    *parts : (str, function)
        What is done, and how many seconds it will take, of which only the ratio matters; asked where there is a bar.
    """
    if not active():
        return [contextlib.nullcontext() for _ in parts]
    seconds = [max(1e-9, estimate()) for _, estimate in parts]
    total, done = sum(seconds), 0.0
    made: list[contextlib.AbstractContextManager[Any]] = []
    for (text, _), one in zip(parts, seconds, strict=True):
        made.append(span(text, done / total, min(1.0, (done + one) / total)))
        done += one
    return made


def steps(items: Sequence[T] | Iterable[T], text: str, count: int | None = None) -> Iterator[T]:
    """The items, each taking a like share of the present span: for loops whose turns take about as long each.

    Parameters
    ----------
    items : iterable
        What is gone through.
    text : str
        What is done, in a few words; "1 of 10" is added.
    count : int, optional
        Number of items, where they have no length.
    """
    n = len(items) if count is None else count  # type: ignore[arg-type]
    for i, item in enumerate(items):
        with span(f"{text} {i + 1} of {n}", i / n, (i + 1) / n):
            yield item
