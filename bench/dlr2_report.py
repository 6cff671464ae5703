"""The sections of the document on DLR2, and its plots."""

from __future__ import annotations

from statistics import mean
from typing import Any

from .harness import RESULTS
from .tables import load, seconds, table, where

FIGURES = RESULTS.parents[1] / "docs" / "img"
SHOWN = ("hit_rate@5", "hit_rate@10", "f1@5", "f1@10")
HEAD = ["HR@5", "HR@10", "F1@5", "F1@10"]
STARTS = {"random": "random", "svd": "SVD", "le": "LE", "leporid": "LEPORID"}
# Zhang et al., KDD 2021, on MovieLens-1M: HR@5, HR@10, F1@5, F1@10.
PUBLISHED = {
    "ItemKNN": (0.387, 0.524, 0.046, 0.068),
    "random": (0.324, 0.454, 0.031, 0.050),
    "le": (0.512, 0.673, 0.069, 0.107),
    "leporid": (0.541, 0.703, 0.076, 0.116),
}
NO_ROW = ["", "", "", ""]


def dlr2_main() -> str:
    """All users: baselines, starts, and the 2-D network; where the paper's order holds."""
    found = load("dlr2")
    if found is None:
        return ""
    rows = found["results"]["rows"]
    lines: list[list[Any]] = []
    for row in _group(rows, "baseline"):
        chosen = ", ".join(f"{k} {v}" for k, v in row["chosen"].items())
        told = f"{chosen}; {row['points']} points" if chosen else ""
        lines.append([row["name"], *_cells([row["test"]["all"]]), told, *_published(row["name"])])
    settings = found["results"]["settings"]
    for group, setting in (("longer", "longer"), ("start", "default")):
        pairs = settings[setting]["epochs"] * settings[setting]["positions"] if setting in settings else 0
        for start, name in STARTS.items():
            if several := _group(rows, group, start):
                told = f"at most {pairs:,} training pairs, {len(several)} seed{'s' * (len(several) > 1)}"
                lines.append([f"DLR2, {name}", *_cells([r["test"]["all"] for r in several]), told, *_published(start)])
    for conv in ("1d", "2d"):
        several = _group(rows, "short", conv)
        if several:
            short = found["results"]["settings"]["short"]
            told = f"{short['epochs'] * short['positions']:,} training pairs, {len(several)} seed"
            lines.append(
                [f'DLR2, LEPORID, conv="{conv}", short', *_cells([r["test"]["all"] for r in several]), told, ""]
            )
    text = table(["model", *HEAD, "", "paper, MovieLens-1M: HR@5 / HR@10 / F1@5 / F1@10"], lines)
    return f"{text}\n\n{_order(rows)}\n\nMean over the seeds, range in brackets. {where(found)}."


def dlr2_tail() -> str:
    """The quarter of users with the fewest training interactions."""
    found = load("dlr2")
    if found is None:
        return ""
    rows = found["results"]["rows"]
    lines = [[row["name"], *_cells([row["test"]["tail"]])] for row in _group(rows, "baseline")]
    for start, name in STARTS.items():
        if several := _starts(rows, start):
            lines.append([f"DLR2, {name}", *_cells([r["test"]["tail"] for r in several])])
    gains = []
    both = [(_starts(rows, start), STARTS[start]) for start in ("le", "leporid")]
    if all(several for several, _ in both):
        for part, told in (("tail", "tail users"), ("all", "all users")):
            le, leporid = (mean(r["test"][part]["f1@10"] for r in several) for several, _ in both)
            gains.append(f"{100 * (leporid / le - 1):+.1f} % for {told}")
    text = table(["model, tail users", *HEAD], lines)
    return text + (f"\n\nF1@10 from LEPORID against LE: {', '.join(gains)}." if gains else "")


def dlr2_ablations() -> str:
    """The variants and losses, by the LEPORID start; draws the sweeps."""
    found = load("dlr2")
    if found is None:
        return ""
    rows = found["results"]["rows"]
    whole = _group(rows, "start", "leporid")
    lines = [["whole network, ranked by S", *_cells([r["test"]["all"] for r in whole]), len(whole)]] if whole else []
    if whole:
        lines.append(["whole network, ranked by G", *_cells([r["generative"]["all"] for r in whole]), len(whole)])
    for name, several in _by_name(rows, "ablation").items():
        lines.append([name, *_cells([r["test"]["all"] for r in several]), len(several)])
    draw(rows)
    return table(["DLR2 from LEPORID", *HEAD, "seeds"], lines)


def laplacian() -> str:
    """Seconds and residuals of LE and LEPORID, beside ARPACK and the paper."""
    found = load("laplacian")
    if found is None:
        return ""
    results = found["results"]
    rows = []
    for row in results["rows"]:
        for name in row["seconds"]:
            rows.append(
                [
                    f"{row['alpha']:g}",
                    {"fastlae": "fastlae", "scipy": "SciPy's eigsh"}[name],
                    seconds(row["seconds"][name]),
                    seconds(row["cpu_seconds"][name]),
                    f"{row['residual'][name]:.0e}",
                ]
            )
    return (
        table(["alpha", "solver", "time", "processor time", "largest residual"], rows)
        + f"\n\n{results['dim']} vectors of {results['users']:,} users with 1,000 neighbours each ({results['nnz']:,} "
        f"weights; the graph took {seconds(results['graph_seconds'])}). The paper: {results['paper_seconds']:.0f} s. "
        f"{where(found)}."
    )


def _starts(rows: list[Any], start: str) -> list[Any]:
    """The runs of a start that were trained longest."""
    return _group(rows, "longer", start) or _group(rows, "start", start)


def _group(rows: list[Any], group: str, name: str | None = None) -> list[Any]:
    return [row for row in rows if row["group"] == group and name in (None, row["name"])]


def _by_name(rows: list[Any], group: str) -> dict[str, list[Any]]:
    return {row["name"]: _group(rows, group, row["name"]) for row in _group(rows, group)}


def _cells(several: list[dict[str, float]]) -> list[str]:
    cells = []
    for metric in SHOWN:
        values = [one[metric] for one in several]
        spread = "" if min(values) == max(values) else f" ({min(values):.3f} to {max(values):.3f})"
        cells.append(f"{mean(values):.3f}{spread}")
    return cells


def _published(name: str) -> list[str]:
    return [" / ".join(f"{value:.3f}" for value in PUBLISHED[name])] if name in PUBLISHED else [""]


def _order(rows: list[Any]) -> str:
    """Whether LEPORID > LE > random and LEPORID > ItemKNN hold here, as in the paper, metric by metric."""
    several = {name: [r["test"]["all"] for r in _starts(rows, name)] for name in STARTS}
    several["ItemKNN"] = [r["test"]["all"] for r in _group(rows, "baseline", "ItemKNN")]
    several["EDLAE"] = [r["test"]["all"] for r in _group(rows, "baseline", "EDLAE")]
    several = {name: found for name, found in several.items() if found}
    pairs = (("leporid", "le"), ("le", "random"), ("leporid", "svd"), ("leporid", "ItemKNN"), ("leporid", "EDLAE"))
    told = []
    for better, worse in pairs:
        if better not in several or worse not in several:
            continue
        verdicts = []
        for metric, head in zip(SHOWN, HEAD, strict=True):
            ours, theirs = ([one[metric] for one in several[name]] for name in (better, worse))
            if min(ours) > max(theirs):
                verdicts.append(f"{head} yes")
            elif max(ours) < min(theirs):
                verdicts.append(f"{head} no")
            else:
                verdicts.append(f"{head} open (mean {mean(ours) - mean(theirs):+.3f})")
        names = (STARTS.get(better, better), STARTS.get(worse, worse))
        told.append(f"- {names[0]} above {names[1]}: {', '.join(verdicts)}")
    note = "Does the order of the paper hold, by all seeds (yes: the worst seed of one is above the best of the other)?"
    return note + "\n\n" + "\n".join(told)


def draw(rows: list[Any]) -> None:
    """F1@10 and HR@10 by alpha and by neighbours (the paper's Figure 4); needs matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    le, leporid = _group(rows, "start", "le"), _group(rows, "start", "leporid")
    alphas = {"0": le, "0.5": leporid} | {
        name: _group(rows, "alpha", name) for name in dict.fromkeys(r["name"] for r in _group(rows, "alpha"))
    }
    near = {
        name: _group(rows, "neighbours", name) for name in dict.fromkeys(r["name"] for r in _group(rows, "neighbours"))
    }
    near = dict(sorted(near.items(), key=lambda item: int(item[0]))) | {"all": leporid}
    alphas = dict(sorted(alphas.items(), key=lambda item: float(item[0])))
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 5.4))
    for column, (points, label) in enumerate(((alphas, "alpha (0: LE)"), (near, "neighbours in the graph"))):
        for line, metric in enumerate(("f1@10", "hit_rate@10")):
            axis = axes[line][column]
            shown = {name: several for name, several in points.items() if several}
            for part, colour in (("all", "tab:blue"), ("tail", "tab:orange")):
                values = [[r["test"][part][metric] for r in several] for several in shown.values()]
                x = [float(n) for n in shown] if column == 0 else list(range(len(shown)))
                axis.plot(x, [mean(v) for v in values], "o-", color=colour, label=f"{part} users")
                axis.fill_between(x, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15)
                axis.set_xticks(x, list(shown))
            axis.set(ylabel={"f1@10": "F1@10", "hit_rate@10": "HR@10"}[metric])
            axis.set_ylim(0, 1.1 * axis.get_ylim()[1])
            if line:
                axis.set(xlabel=label)
    axes[0][0].legend()
    FIGURES.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(FIGURES / "dlr2_sweeps.png", dpi=110, metadata={"Software": None})
    print("wrote docs/img/dlr2_sweeps.png")


DLR2 = {"laplacian": laplacian, "dlr2_main": dlr2_main, "dlr2_tail": dlr2_tail, "dlr2_ablations": dlr2_ablations}
