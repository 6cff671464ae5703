"""Inserts the measured figures into the documents: none is typed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from .harness import RESULTS

ROOT = RESULTS.parents[1]
PUBLISHED_ML1M = [
    ("LightGCN (published)", 0.2576, 0.2427),
    ("UltraGCN (published)", 0.2787, 0.2642),
    ("UltraGCN + ImplicitSLIM (published)", 0.2790, 0.2659),
]
PUBLISHED_GOWALLA = [
    ("EASE (DEQL paper)", 0.1765, 0.1467),
    ("DLAE (DEQL paper)", 0.1839, 0.1533),
    ("EDLAE (DEQL paper)", 0.1844, 0.1539),
    ("DEQL(L2) (DEQL paper)", 0.1845, 0.1540),
    ("LightGCN (published)", 0.1830, 0.1554),
    ("SimpleX (published)", 0.1872, 0.1557),
]


def load(name: str) -> Any:
    """Results of one benchmark, or None if it has not been run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def where(result: Any) -> str:
    """The machine, in words."""
    m = result["machine"]
    return (
        f"{m['cpu']}, {m['threads']} threads, {m['memory_gb']} GB, {m['isa']}; Python {m['python']}, "
        f"NumPy {m['numpy']}, SciPy {m['scipy']}, fastlae {m['fastlae']}"
    )


def ml1m() -> str:
    """Mean and range over the seeds of the validation cut, by model and variant."""
    result = load("ml1m")
    if result is None:
        return ""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in result["results"]["rows"]:
        groups.setdefault((row["variant"], row["model"]), []).append(row)
    rows: list[list[Any]] = [[name, "", f"{r:.4f}", f"{n:.4f}", ""] for name, r, n in PUBLISHED_ML1M]
    for (variant, model), found in groups.items():
        cells = []
        for metric in ("recall@20", "ndcg@20"):
            values = [row["test"][metric] for row in found]
            spread = "" if min(values) == max(values) else f" ({min(values):.4f} to {max(values):.4f})"
            cells.append(f"{mean(values):.4f}{spread}")
        chosen = found[0]["chosen"]
        names = ("l2", "dropout", "b", "xi", "user_power", "popularity_power")
        shown = ", ".join(f"{k} {chosen[k]:.4g}" for k in names if k in chosen)
        rows.append([model, variant, *cells, shown])
    seeds = result["results"]["sweeps"]
    effort = ", ".join(f"{s['seconds']:.0f} s" for s in seeds)
    return (
        table(["model", "options", "Recall@20", "NDCG@20", "chosen with the first seed"], rows)
        + f"\n\nMean over {len(seeds)} seeds of the validation cut (range in brackets where they differ). One sweep of "
        f"{seeds[0]['points']} points took {seeds[0]['inverses']} inverses; {effort}. {where(result)}."
    )


def gowalla() -> str:
    """The paper's rows, both forms, with time and memory."""
    result = load("gowalla")
    if result is None:
        return ""
    rows: list[list[Any]] = [[name, "", f"{r:.4f}", f"{n:.4f}", "", "", ""] for name, r, n in PUBLISHED_GOWALLA]
    for r in result["results"]:
        name = f"{r['model']}, hyperparameters of the paper"
        rows.append(
            [
                name,
                r["form"],
                f"{r['recall@20']:.4f}",
                f"{r['ndcg@20']:.4f}",
                f"{r['fit_seconds']:.0f}",
                f"{r['evaluate_seconds']:.0f}",
                f"{r['peak_gb']:.1f}",
            ]
        )
    chosen = load("gowalla_chosen")
    for row in chosen["results"] if chosen else []:
        c = row["chosen"]
        names = ("l2", "dropout", "b", "user_power", "popularity_power")
        options = ", ".join(f"{k} {c[k]:.4g}" for k in names if k in c)
        rows.append(
            [
                f"{c['model']} ({options}), chosen on validation: {row['variant']}",
                row["form"],
                f"{row['test']['recall@20']:.4f}",
                f"{row['test']['ndcg@20']:.4f}",
                "",
                "",
                f"{row['peak_gb']:.1f}",
            ]
        )
    head = ["model", "form", "Recall@20", "NDCG@20", "fit, s", "evaluate, s", "peak, GB"]
    return table(head, rows) + f"\n\n{where(result)}."


def kernels() -> str:
    """gram, spd_inverse and recommend beside NumPy and SciPy."""
    rows: list[list[Any]] = []
    places = set()
    if g := load("gram"):
        s = g["results"]["seconds"]
        what = "gram, 136,677 × 20,108, 10 M interactions"
        rows.append([what, f"{s['fastlae']:.2f} s", f"SciPy `(X.T @ X).toarray()` {s['scipy']:.1f} s"])
        rows[-1].append(f"{g['results']['scipy_over_fastlae']:.1f}")
        places.add(where(g))
    if inv := load("spd_inverse"):
        for r in inv["results"]:
            f, s = r["gflops"]["fastlae"], r["gflops"]["scipy"]
            what = f"spd_inverse, n = {r['n']:,}, {r['dtype']}"
            what += f" (residual {r['residual']:.0e})"
            rows.append([what, f"{f:.0f} GFLOP/s", f"SciPy potrf + potri {s:.0f} GFLOP/s", f"{f / s:.2f}"])
        places.add(where(inv))
    if rec := load("recommend"):
        r = rec["results"]
        for kind in ("dense", "sparse"):
            for form, ours in r[kind]["fastlae"].items():
                what = f"recommend, {r['items']:,} items, W {kind} ({form})"
                for peer in ("numpy", "implicit", "irspack", "lenskit"):
                    if theirs := r[kind].get(peer):
                        label = "NumPy/SciPy" if peer == "numpy" else peer
                        mine, other = ours["users_per_s"], theirs["users_per_s"]
                        rows.append([f"{what}, all", f"{mine:,.0f} users/s", f"{label} {other:,.0f} users/s"])
                        rows[-1].append(f"{mine / other:.1f}")
                        mine, other = ours["one_ms"], theirs["one_ms"]
                        rows.append([f"{what}, one user", f"{mine:.2f} ms", f"{label} {other:.2f} ms"])
                        rows[-1].append(f"{other / mine:.1f}")
        places.add(where(rec))
    if not rows:
        return ""
    return table(["kernel", "fastlae", "peer", "ratio"], rows) + "\n\n" + " / ".join(sorted(places)) + "."


def summary() -> str:
    """The few figures of the README."""
    parts = []
    if g := load("gowalla"):
        users = next(r for r in g["results"] if r["model"] == "EDLAE" and r["form"] == "users")
        items = next((r for r in g["results"] if r["model"] == "EDLAE" and r["form"] == "items"), None)
        parts.append(
            f"- Gowalla (29,858 × 40,981), EDLAE: Recall@20 {users['recall@20']:.4f}, NDCG@20 {users['ndcg@20']:.4f}, "
            f"as published; fitted in {users['fit_seconds']:.0f} s with {users['peak_gb']:.1f} GB by the users form"
            + (f", {items['fit_seconds']:.0f} s and {items['peak_gb']:.1f} GB by the items form." if items else ".")
        )
    if chosen := load("gowalla_chosen"):
        row = next(r for r in chosen["results"] if r["variant"] == "user weights")
        parts.append(
            f"- With user weights, chosen on validation data: {row['test']['recall@20']:.4f} / "
            f"{row['test']['ndcg@20']:.4f} there (best published row: SimpleX 0.1872 / 0.1557)."
        )
    if m := load("ml1m"):
        rows = [r for r in m["results"]["rows"] if r["variant"] == "user weights" and r["model"] == "DLAE"]
        recall, ndcg = (mean(r["test"][k] for r in rows) for k in ("recall@20", "ndcg@20"))
        parts.append(
            f"- MovieLens-1M, DLAE with user weights, chosen on validation data: Recall@20 {recall:.4f}, NDCG@20 "
            f"{ndcg:.4f} (UltraGCN + ImplicitSLIM: 0.2790 / 0.2659)."
        )
    if g := load("gram"):
        parts.append(
            f"- Gram matrix of the MovieLens-20M shape: {g['results']['seconds']['fastlae']:.1f} s, "
            f"{g['results']['scipy_over_fastlae']:.0f} times as fast as SciPy's `(X.T @ X).toarray()`."
        )
    if inv := load("spd_inverse"):
        r = next(r for r in inv["results"] if r["n"] == 8000)
        parts.append(
            f"- Inverse of order 8,000 in float32: {r['gflops']['fastlae']:.0f} GFLOP/s, SciPy's spotrf + spotri "
            f"{r['gflops']['scipy']:.0f}; any order that memory holds."
        )
        parts.append(f"\nMachine: {where(inv)}.")
    return "\n".join(parts)


SECTIONS: dict[str, Callable[[], str]] = {"ml1m": ml1m, "gowalla": gowalla, "kernels": kernels, "summary": summary}


def insert(text: str) -> str:
    """Replace what lies between the marks of every section."""
    for name, section in SECTIONS.items():
        pattern = rf"(<!-- bench:{name} -->\n).*?(<!-- /bench -->)"
        text = re.sub(pattern, lambda m, s=section: f"{m[1]}{s()}\n{m[2]}", text, flags=re.DOTALL)
    return text


def main() -> None:
    """Rewrite the documents in place."""
    for path in (ROOT / "README.md", ROOT / "docs" / "results.md"):
        path = Path(path)
        path.write_text(insert(path.read_text()))
        print("wrote", path.relative_to(ROOT))
