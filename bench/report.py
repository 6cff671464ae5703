"""Inserts the measured figures into the documents: none is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import mean
from typing import Any

from .dlr2_report import DLR2
from .embedding_tables import embedding_genres, embedding_popularity, embeddings, implicit_slim, knn_graph, wmf
from .harness import RESULTS
from .lowrank_report import LOW_RANK
from .neural_tables import NEURAL
from .performance import PERFORMANCE
from .tables import load, load_all, table, where

ROOT = RESULTS.parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("results", "performance", "low_rank", "nn_functional", "neural", "dlr2", "backends")
    ),
]
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


def summary() -> str:
    """The few figures of the README; where they come from several machines, each names its own."""
    parts: list[tuple[str, str]] = []
    if g := load("gowalla"):
        users = next(r for r in g["results"] if r["model"] == "EDLAE" and r["form"] == "users")
        items = next((r for r in g["results"] if r["model"] == "EDLAE" and r["form"] == "items"), None)
        text = (
            f"Gowalla (29,858 × 40,981), EDLAE: Recall@20 {users['recall@20']:.4f}, NDCG@20 {users['ndcg@20']:.4f}, "
            f"as published; fitted in {users['fit_seconds']:.0f} s with {users['peak_gb']:.1f} GB by the users form"
        )
        if items:
            text += f", {items['fit_seconds']:.0f} s and {items['peak_gb']:.1f} GB by the items form"
        parts.append((text + ".", where(g)))
    if chosen := load("gowalla_chosen"):
        row = next(r for r in chosen["results"] if r["variant"] == "user weights")
        text = (
            f"With user weights, chosen on validation data: {row['test']['recall@20']:.4f} / "
            f"{row['test']['ndcg@20']:.4f} there (best published row: SimpleX 0.1872 / 0.1557)."
        )
        parts.append((text, where(chosen)))
    if m := load("ml1m"):
        rows = [r for r in m["results"]["rows"] if r["variant"] == "user weights" and r["model"] == "DLAE"]
        recall, ndcg = (mean(r["test"][k] for r in rows) for k in ("recall@20", "ndcg@20"))
        text = (
            f"MovieLens-1M, DLAE with user weights, chosen on validation data: Recall@20 {recall:.4f}, NDCG@20 "
            f"{ndcg:.4f} (UltraGCN + ImplicitSLIM: 0.2790 / 0.2659)."
        )
        parts.append((text, where(m)))
    if g := next((g for g in load_all("gram") if "seconds" in g["results"]), None):
        text = (
            f"Gram matrix of the MovieLens-20M shape: {g['results']['seconds']['fastlae']:.2g} s, "
            f"{g['results']['scipy_over_fastlae']:.0f} times as fast as SciPy's `(X.T @ X).toarray()`."
        )
        parts.append((text, where(g)))
    if inv := max(load_all("spd_inverse"), key=lambda found: _largest(found["results"]["rows"]), default=None):
        parts += [(text, where(inv)) for text in _inverse(inv["results"]["rows"])]
    return with_machines(parts)


def _largest(rows: list[dict[str, Any]]) -> int:
    """The largest order that was inverted."""
    return max(row["n"] for row in rows if row["kind"] == "inverse")


def _inverse(rows: list[dict[str, Any]]) -> list[str]:
    """The largest order in float32 on all threads, beside SciPy."""
    found = [r for r in rows if r["kind"] == "inverse" and r["dtype"] == "float32" and r["contender"] == "fastlae"]
    if not found:
        return []
    ours = max(found, key=lambda r: (r["threads"], r["n"]))
    text = f"Inverse of order {ours['n']:,} in float32: {ours['gflops']:.0f} GFLOP/s"
    for r in rows:
        if (r["kind"], r["contender"]) == ("inverse", "scipy") and all(
            r[key] == ours[key] for key in ("n", "dtype", "threads")
        ):
            text += f", SciPy's spotrf + spotri {r['gflops']:.0f}"
    if "best_product" in ours:
        text += f", the best matrix product here {ours['best_product']:.0f}"
    return [text + "; any order that memory holds."]


def with_machines(parts: list[tuple[str, str]]) -> str:
    """A list of (text, machine), and the machine below; several are numbered, and each line has its number."""
    machines = list(dict.fromkeys(machine for _, machine in parts))
    if len(machines) < 2:
        return "\n".join([f"- {text}" for text, _ in parts] + [f"\nMachine: {machine}." for machine in machines])
    lines = [f"- {text} [{machines.index(machine) + 1}]" for text, machine in parts]
    return "\n".join([*lines, "", *(f"[{i}] {machine}.  " for i, machine in enumerate(machines, 1))]).rstrip()


SECTIONS: dict[str, Callable[[], str]] = {
    "ml1m": ml1m,
    "gowalla": gowalla,
    "embeddings": embeddings,
    "embedding_genres": embedding_genres,
    "embedding_popularity": embedding_popularity,
    "implicit_slim": implicit_slim,
    "knn_graph": knn_graph,
    "wmf": wmf,
    "summary": summary,
    **PERFORMANCE,
    **LOW_RANK,
    **NEURAL,
    **DLR2,
}


# What measures a section that is not named after its benchmark.
COMMANDS = {
    **{f"low_rank_{part}": f"lowrank --part {part}" for part in ("ml1m", "ranks", "ordering", "gowalla", "solver")},
    "embedding_genres": "embedding_scores",
    "embedding_popularity": "embedding_scores",
}
COMMANDS |= {"neural_ablation": "neural"}
COMMANDS |= {f"recvae_{part}": f"recvae --part {part}" for part in ("time", "memory", "trajectory")}
COMMANDS |= {name: name.split("_")[0] for name in DLR2}


def insert(text: str) -> str:
    """Replace what lies between the marks of every section; one without results says so."""
    for name, section in SECTIONS.items():
        pattern = rf"(<!-- bench:{name} -->\n).*?(<!-- /bench -->)"
        if re.search(pattern, text, flags=re.DOTALL):
            body = section() or f"Not measured: `python -m bench {COMMANDS.get(name, name)}`."
            text = re.sub(pattern, lambda m, b=body: f"{m[1]}{b}\n{m[2]}", text, flags=re.DOTALL)
    return text


def main() -> None:
    """Rewrite the documents in place."""
    for path in DOCUMENTS:
        path.write_text(insert(path.read_text()))
        print("wrote", path.relative_to(ROOT))
