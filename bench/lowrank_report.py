"""The sections of docs/low_rank.md: one for each part of the study."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

from .harness import RESULTS
from .tables import load, seconds, table, where

# NDCG@100 of the paper's Table 2, ML-20M, strong generalization.
PAPER = {
    "EASE": 0.420,
    "DLAE": 0.424,
    "EDLAE": 0.424,
    "LowRankEDLAE, admm": 0.424,
    "LowRankEDLAE, als": 0.424,
    "LRR": 0.408,
    "LRDLAE": 0.424,
    "LREDLAE, method 1": 0.423,
    "LREDLAE, method 2": 0.423,
    "MFDropout": 0.393,
    "RegularizedPCA": 0.392,
    "VLAE": 0.378,
}


def low_rank_ml1m() -> str:
    """Every model, best first, beside the paper's figure and place."""
    found = load("lowrank_ml1m")
    if found is None:
        return ""
    groups: dict[str, list[Any]] = {}
    for row in found["results"]["rows"]:
        groups.setdefault(row["model"], []).append(row)
    ndcg = {name: mean(r["test"]["ndcg@20"] for r in rows) for name, rows in groups.items()}
    lines = []
    for name in sorted(groups, key=lambda n: -ndcg[n]):
        rows = groups[name]
        cells = []
        for metric in ("recall@20", "ndcg@20"):
            values = [row["test"][metric] for row in rows]
            spread = "" if min(values) == max(values) else f" ({min(values):.4f} to {max(values):.4f})"
            cells.append(f"{mean(values):.4f}{spread}")
        chosen = ", ".join(f"{k} {v:.4g}" for k, v in rows[0]["chosen"].items() if isinstance(v, (int, float)))
        paper = f"{PAPER[name]:.3f}" if name in PAPER else ""
        lines.append([name, *cells, paper, rows[0]["rank"] or "full", rows[0]["points"] - rows[0]["skipped"], chosen])
    seeds = len(next(iter(groups.values())))
    head = ["model", "Recall@20", "NDCG@20", "paper, ML-20M NDCG@100", "rank", "points tried", "chosen with seed 0"]
    return table(head, lines) + f"\n\n{seeds} seed(s) of the validation cut. {where(found)}." + _order(ndcg)


def _order(ndcg: dict[str, float]) -> str:
    """Pairs that the paper orders clearly and these data the other way round."""
    names = [name for name in PAPER if name in ndcg]
    turned = [
        f"{a} over {b} ({PAPER[a]:.3f}, {PAPER[b]:.3f}; here {ndcg[a]:.4f}, {ndcg[b]:.4f})"
        for a in names
        for b in names
        if PAPER[a] - PAPER[b] > 0.002 and ndcg[a] < ndcg[b]
    ]
    if not turned:
        return "\n\nWherever the paper's figures differ by more than 0.002 the order is the same here."
    return "\n\nWhere the paper's order does not hold: " + "; ".join(turned) + "."


def low_rank_ranks() -> str:
    """NDCG@20 against the rank, as a table and as a plot."""
    found = load("lowrank_ranks")
    if found is None:
        return ""
    rows = found["results"]["rows"]
    ranks = sorted({row["k"] for row in rows})
    by = {(row["model"], row["k"]): row["ndcg@20"] for row in rows}
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [[name, *(f"{by[name, k]:.4f}" if (name, k) in by else "" for k in ranks)] for name in models]
    return table(["model", *map(str, ranks)], lines) + _plot(models, by) + f"\n\n{where(found)}."


def _plot(models: list[str], by: dict[tuple[str, int], float]) -> str:
    try:
        import matplotlib
    except ImportError:
        return ""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for name in models:
        ks = sorted(k for model, k in by if model == name)
        axes.plot(ks, [by[name, k] for k in ks], marker="o", markersize=3, label=name)
    axes.set(xscale="log", xlabel="rank k", ylabel="NDCG@20", title="MovieLens-1M, test")
    axes.legend(fontsize="small")
    path = RESULTS.parents[1] / "docs" / "img" / "low_rank.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return "\n\n![NDCG@20 against the rank](img/low_rank.png)"


def low_rank_ordering() -> str:
    """The weight-ordering experiment."""
    found = load("lowrank_ordering")
    if found is None:
        return ""
    groups: dict[str, list[float]] = {}
    for row in found["results"]["rows"]:
        groups.setdefault(row["model"], []).append(row["test"]["ndcg@20"])
    lines = [[name, f"{mean(v):.4f}", f"{min(v):.4f} to {max(v):.4f}", len(v)] for name, v in groups.items()]
    return table(["model", "NDCG@20", "range", "seeds"], lines) + f"\n\n{where(found)}."


def low_rank_gowalla() -> str:
    """Gowalla, with the residuals of the eigensolver."""
    found = load("lowrank_gowalla")
    if found is None:
        return ""
    lines, ndcg = [], {}
    for row in found["results"]["rows"]:
        chosen = ", ".join(f"{k} {v:.4g}" for k, v in row["chosen"].items() if isinstance(v, (int, float)))
        figures = [f"{row['test'][metric]:.4f}" for metric in ("recall@20", "ndcg@20")]
        residual = "" if row["residual"] is None else f"{row['residual']:.0e}"
        lines.append([row["model"], chosen, row.get("points", 1), row["rank"] or "full", *figures, residual])
        name, value = row["model"], row["test"]["ndcg@20"]
        ndcg[name] = max(ndcg.get(name, 0.0), value)
    head = ["model", "hyperparameters", "points tried", "rank", "Recall@20", "NDCG@20", "residual"]
    return table(head, lines) + f"\n\n{where(found)}." + _order(ndcg)


def low_rank_solver() -> str:
    """Time and memory of ways to the singular vectors."""
    found = load("lowrank_solver")
    if found is None:
        return ""
    head = ["data", "k", "way", "time", "residual", "peak, GB"]
    lines = [
        [r["data"], r["k"], r["way"], seconds(r["seconds"]), f"{r['residual']:.0e}", f"{r['peak_gb']:.2f}"]
        for r in found["results"]["rows"]
    ]
    return table(head, lines) + f"\n\n{where(found)}."


def slim() -> str:
    """SLIM beside scikit-learn and irspack."""
    found = load("slim")
    if found is None:
        return ""
    r = found["results"]
    ours = r["fastlae_seconds"]
    lines = [["fastlae", seconds(ours), "1"]]
    for name in ("irspack", "sklearn"):
        if f"{name}_seconds" in r:
            note = f" ({r['sklearn_columns']} columns, extrapolated)" if name == "sklearn" else ""
            took = r[f"{name}_seconds"]
            lines.append([f"{name}{note}", seconds(took), f"{took / ours:.0f}"])
    excess = ", ".join(
        f"{name} at most {r[f'{name}_objective_excess']:.1e}"
        for name in ("sklearn", "irspack")
        if f"{name}_objective_excess" in r
    )
    text = f"\n\nl1 {r['l1']:g}, l2 {r['l2']:g}, non-negative, {r['nnz']:,} weights. By how much a column's objective "
    text += f"exceeds fastlae's, as a share of it: {excess}; fastlae's exceeds scikit-learn's by at most "
    text += f"{r['fastlae_objective_excess']:.1e}."
    return table(["contender", "all 3,043 columns", "times fastlae"], lines) + text + f"\n\n{where(found)}."


def factors() -> str:
    """The best items by vectors."""
    found = load("factors")
    if found is None:
        return ""
    lines = [
        [f"{r['users']:,} × {r['items']:,}, dim {r['dim']}", seconds(r["fastlae"]), seconds(r["numpy"]), r["gflops"]]
        for r in found["results"]["rows"]
    ]
    head = ["users × items", "fastlae", "NumPy, by blocks of users", "GFLOP/s"]
    return table(head, lines) + f"\n\n{where(found)}."


LOW_RANK: dict[str, Callable[[], str]] = {
    section.__name__: section
    for section in (low_rank_ml1m, low_rank_ranks, low_rank_ordering, low_rank_gowalla, low_rank_solver, slim, factors)
}
