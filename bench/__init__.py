"""Benchmarks: `python -m bench NAME`. Every figure in the documentation comes from here."""

from __future__ import annotations
