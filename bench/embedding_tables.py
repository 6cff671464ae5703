"""The sections of the documents on embeddings, and their plots."""

from __future__ import annotations

from statistics import mean
from typing import Any

from .harness import RESULTS
from .tables import load, seconds, table, where

FIGURES = RESULTS.parents[1] / "docs" / "img"
COLOURS = {"MF": "tab:blue", "MF + ImplicitSLIM": "tab:orange", "EASE": "tab:gray"}


def implicit_slim() -> str:
    """Time, memory and error by dimension."""
    found = load("implicit_slim")
    if found is None:
        return ""
    results = found["results"]
    rows = [
        [
            r["dim"],
            seconds(r["seconds"]["fastlae"]),
            seconds(r["seconds"]["published"]),
            r["times_as_fast"],
            seconds(r["seconds"]["gram_product"]),
            f"{r['added_gb']['fastlae']:.2f}",
            f"{r['added_gb']['published']:.2f}",
            f"{r['error']['fastlae']:.0e}",
            f"{r['error']['published']:.0e}",
        ]
        for r in results["rows"]
    ]
    head = ["dim", "fastlae", "published formula", "times as fast", "one gram_product", "fastlae, GB", "published, GB"]
    text = table([*head, "error, fastlae", "error, published"], rows)
    if "exponent_of_dim" in results:
        half, whole = results["by_nnz"]
        text += (
            f"\n\nTime grows with dim to the power {results['exponent_of_dim']}; half of the users "
            f"({half['nnz'] / 1e6:.1f} M of {whole['nnz'] / 1e6:.1f} M interactions) take "
            f"{half['gram_product_dim_128'] / whole['gram_product_dim_128']:.2f} of the time of a gram_product."
        )
    if "explicit" in results:
        steps = results["explicit"]
        text += (
            f" The explicit steps that ImplicitSLIM avoids take {steps['slim']} s (SLIM, by our own inverse) and "
            f"{steps['embeddings']} s (embeddings from it)."
        )
    return text + f"\n\n{where(found)}."


def knn_graph() -> str:
    """Time and memory of graphs of items and users, beside loops and brute force."""
    found = load("knn_graph")
    if found is None:
        return ""
    rows: list[list[Any]] = []
    for side in ("items", "users"):
        r = found["results"][side]
        ours = r["graph"]
        rows.append(
            [
                side,
                seconds(ours["seconds"]),
                f"{ours['peak_gb']:.2f}",
                f"{ours['edges'] / 1e6:.1f} M",
                seconds(ours["cosine_lists_seconds"]),
                *(f"{r[n]['seconds']:,.0f} s ({r[n]['times_as_long']:,.0f})" for n in ("double_loop", "scikit_learn")),
            ]
        )
    users, items, interactions = found["results"]["shape"]
    head = ["graph of", "fastlae", "peak, GB", "entries", "cosine, lists only", "Python loop (times as long)"]
    return (
        table([*head, "scikit-learn (times as long)"], rows)
        + f"\n\n{users:,} users, {items:,} items, {interactions:,} interactions. {where(found)}."
    )


def wmf() -> str:
    """Seconds of a sweep and quality, beside the peers."""
    found = load("wmf")
    if found is None:
        return ""
    results = found["results"]
    rows = [
        [r["data"], r["dim"], r["contender"], seconds(r["sweep"]), *(r.get(m, "") for m in ("ndcg@100", "recall@20"))]
        for r in results["rows"]
    ]
    head = ["data", "dim", "contender", "a sweep", f"NDCG@100 after {results['sweeps']}", "Recall@20"]
    return table(head, rows) + f"\n\n{where(found)}."


def embeddings() -> str:
    """Mean and range over the seeds, by data set, dimension and method; draws the plots."""
    found = load("embeddings")
    if found is None:
        return ""
    rows: list[list[Any]] = []
    for name, entry in found["results"]["data"].items():
        measured = [("EASE", "", entry["ease"]["test"], "")]
        for r in entry["rows"]:
            chosen = ", ".join(f"{k} {v:.3g}" for k, v in r["chosen"].items())
            measured.append((r["method"], str(r["dim"]), r["test"], f"{chosen}; {len(r['trials'])} trials"))
        for method, dim, test, chosen in measured:
            cells = []
            for metric in ("ndcg@100", "recall@20", "recall@50"):
                values = [t[metric] for t in test]
                cells.append(f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
            rows.append([name, method, dim, *cells, chosen])
    draw(found["results"])
    head = ["data", "model", "dim", "NDCG@100", "Recall@20", "Recall@50", "chosen"]
    return table(head, rows) + f"\n\nTest users of three seeded splits: mean and range. {where(found)}."


def embedding_genres() -> str:
    """The 1-NN score by data set, dimension and way, mean over the seeds."""
    found = load("embedding_scores")
    if found is None:
        return ""
    groups: dict[tuple[str, str], dict[int, list[Any]]] = {}
    for r in found["results"]["genres"]:
        groups.setdefault((r["data"], r["way"]), {}).setdefault(r["dim"], []).append(r)
    dims = sorted({dim for by in groups.values() for dim in by})
    rows = []
    for (name, way), by in groups.items():
        cells = []
        for dim in dims:
            for distance in ("euclidean", "cosine"):
                values = [r[distance] for r in by[dim]]
                spread = (max(values) - min(values)) / 2
                cells.append(f"{mean(values):.3f}" + (f" ± {spread:.3f}" if spread else ""))
        rows.append([name, way, *cells])
    head = ["data", "embeddings", *(f"dim {dim}, {distance}" for dim in dims for distance in ("Euclidean", "cosine"))]
    return table(head, rows) + f"\n\nMean over three seeds, ± half the range. {where(found)}."


def embedding_popularity() -> str:
    """NDCG@100 of three groups of items by popularity."""
    found = load("embedding_scores")
    if found is None:
        return ""
    groups: dict[str, list[list[float]]] = {}
    for r in found["results"]["popularity"]:
        groups.setdefault(r["model"], []).append(r["ndcg@100"])
    rows = []
    for name, by_seed in groups.items():
        columns = list(zip(*by_seed, strict=True))
        rows.append([name, *(f"{mean(v):.4f} ({min(v):.4f} to {max(v):.4f})" for v in columns)])
    head = ["model", "most popular third", "middle third", "least popular third"]
    text = f"\n\nMovieLens-1M, dim {found['results']['dim']}, test users of three seeded splits: mean and range. "
    return table(head, rows) + text + f"{where(found)}."


def draw(results: Any) -> None:
    """Quality by dimension (the paper's Figure 1) and by seconds of training (its Figure 3); needs matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    FIGURES.mkdir(exist_ok=True)
    data = results["data"]
    figure, axes = pyplot.subplots(1, len(data), figsize=(5 * len(data), 3.6), squeeze=False)
    for axis, (name, entry) in zip(axes[0], data.items(), strict=True):
        ease = [t["ndcg@100"] for t in entry["ease"]["test"]]
        axis.axhline(mean(ease), color=COLOURS["EASE"], linestyle="--", label="EASE")
        for method in ("MF", "MF + ImplicitSLIM"):
            found = sorted((r for r in entry["rows"] if r["method"] == method), key=lambda r: r["dim"])
            dims = [r["dim"] for r in found]
            values = [[t["ndcg@100"] for t in r["test"]] for r in found]
            axis.plot(dims, [mean(v) for v in values], "o-", color=COLOURS[method], label=method)
            axis.fill_between(
                dims, [min(v) for v in values], [max(v) for v in values], alpha=0.15, color=COLOURS[method]
            )
        axis.set(xscale="log", xlabel="dim", ylabel="NDCG@100, test users", title=name)
        axis.set_xticks(dims, map(str, dims))
        axis.minorticks_off()
        axis.legend()
    write_figure(figure, "embeddings_by_dim")
    if curves := results["convergence"]:
        figure, axes = pyplot.subplots(1, len(curves), figsize=(5 * len(curves), 3.6), squeeze=False)
        for axis, (name, entry) in zip(axes[0], curves.items(), strict=True):
            for method, points in entry["curves"].items():
                line = "*" if method == "EASE" else "o-"
                x, y = [p["seconds"] for p in points], [p["ndcg@100"] for p in points]
                axis.plot(x, y, line, markersize=10 if method == "EASE" else 3, color=COLOURS[method], label=method)
            axis.set(xscale="log", xlabel="seconds of training", ylabel="NDCG@100, test users")
            axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axis.minorticks_off()
            axis.set_title(f"{name}, dim {entry['dim']}")
            axis.legend()
        write_figure(figure, "embeddings_by_time")


def write_figure(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(FIGURES / f"{name}.png", dpi=110, metadata={"Software": None})
    print("wrote", f"docs/img/{name}.png")
