"""What the benchmarks do with their figures: fits, merges, and documents that are written by script alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import report, roofline, tables
from bench.__main__ import LONG, benchmarks
from bench.harness import Worker, alternate, fit_power, folder_of, merge_rows

ROOT = Path(__file__).parents[1]


def test_exponent_of_a_power():
    x = [10.0, 20.0, 50.0, 400.0]
    exponent, constant = fit_power(x, [3e-9 * v**2.75 for v in x])
    assert exponent == pytest.approx(2.75)
    assert constant == pytest.approx(3e-9)


@pytest.mark.parametrize(("x", "seconds"), [([1, 1], [1, 1]), ([1, 2], [1]), ([], [])])
def test_exponent_needs_two_sizes(x, seconds):
    with pytest.raises(ValueError, match="two sizes"):
        fit_power(x, seconds)


def test_new_rows_replace_old_ones():
    old = [{"n": 2, "by": "a", "s": 1}, {"n": 1, "by": "a", "s": 1}]
    new = [{"n": 2, "by": "a", "s": 9}, {"n": 1, "by": None, "s": 3}]
    assert sorted(row["s"] for row in merge_rows(old, new, ["n", "by"])) == [1, 3, 9]


def test_contenders_take_turns():
    calls = []
    times = alternate({name: lambda name=name: calls.append(name) for name in "ab"}, repeat=3, pause=0)
    assert "".join(calls) == "ababab"
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}


def test_worker_reports_errors_and_goes_on():
    with Worker(1) as worker:
        with pytest.raises(RuntimeError, match="two sizes"):
            worker.call("bench.harness:fit_power", [1], [1])
        assert worker.call("bench.harness:machine")["threads"] >= 1


def test_ceiling_is_the_lower_roof():
    kernels = [
        {"kernel": name, "dtype": "float32", "operations_per_byte": intensity, "gflops": 50.0}
        for name, intensity in (("memory", 2.0), ("compute", 1000.0))
    ]
    found = roofline.with_ceilings(kernels, {"float32": 200.0}, 40.0)
    assert [k["roof"] for k in found] == [80, 200]
    assert [k["share"] for k in found] == [0.625, 0.25]


def test_every_benchmark_says_what_it_does():
    found = benchmarks()
    assert all(found.values())
    assert set(LONG) <= set(found)
    assert list(found)[-1] == "report"


@pytest.mark.parametrize("name", report.SECTIONS)
def test_section_without_results_is_empty(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert report.SECTIONS[name]() == ""


def test_marks_without_results_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = report.insert("a\n<!-- bench:gram -->\nold\n<!-- /bench -->\nb\n")
    assert text == "a\n<!-- bench:gram -->\nNot measured: `python -m bench gram`.\n<!-- /bench -->\nb\n"


@pytest.mark.parametrize("path", report.DOCUMENTS, ids=lambda path: path.name)
def test_documents_hold_what_was_measured(path, monkeypatch):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *args, **kwargs: None)  # pictures stay as they are
    text = path.read_text()
    assert report.insert(text) == text, "run `python -m bench report`"
    assert all(f"bench:{name} -->" in "".join(p.read_text() for p in report.DOCUMENTS) for name in report.SECTIONS)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "bench" / "results").glob("*/*.json")), ids=lambda path: "/".join(path.parts[-2:])
)
def test_results_name_their_machine(path):
    found = json.loads(path.read_text())
    machine = found["machine"]
    assert {"cpu", "threads", "numpy"} <= set(machine)
    assert folder_of(machine) == path.parent
