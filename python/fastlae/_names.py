"""Names that were probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause such as "; did you mean 'EASE'?", or nothing where no known name is close."""
    by_lower = {one.lower(): one for one in known}
    matches = [by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a message, cut short where they are many."""
    names = list(names)
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
