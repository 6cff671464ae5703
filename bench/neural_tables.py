"""The sections of the documents on neural models, and their plots."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from statistics import mean
from typing import Any

from .embedding_tables import write_figure
from .tables import load, seconds, table, where

# NDCG@100 of the paper's Table 2, on ML-20M; the rows are those of bench/neural.py.
PUBLISHED = {
    "Mult-VAE": 0.426,
    "architecture": 0.428,
    "architecture, prior": 0.435,
    "architecture, user's beta": 0.435,
    "architecture, alternating, clean decoder": 0.427,
    "architecture, prior, user's beta": 0.438,
    "all but the architecture": 0.420,
    "all but the prior": 0.434,
    "all but the user's beta": 0.437,
    "all but the clean decoder": 0.441,
    "RecVAE": 0.442,
}
MODELS = ("RecVAE", "RecVAE + ImplicitSLIM", "Mult-VAE", "Mult-DAE")
ABLATED = ("RecVAE", *(f"all but the {part}" for part in ("architecture", "prior", "user's beta", "clean decoder")))
METRICS = ("ndcg@100", "recall@20", "recall@50")
CONTENDERS = ("fastlae", "authors")


def _cells(found: list[dict[str, Any]]) -> list[str]:
    cells = []
    for metric in METRICS:
        values = [row[metric] for row in found]
        cells.append(f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
    return cells


def _models(entry: dict[str, Any]) -> list[list[Any]]:
    rows = []
    for name, tuned in entry["tuned"].items():
        found = entry["rows"].get(name, [])
        if found:
            chosen = ", ".join(f"{k} {v:g}" for k, v in tuned["chosen"].items())
            epochs = ", ".join(str(len(row["curve"])) for row in found if "curve" in row)
            rows.append([name, *_cells(found), f"{chosen}; {len(tuned['points'])} points", epochs])
    return sorted(rows, key=lambda row: row[1], reverse=True)


def neural() -> str:
    """Models side by side; draws the plot of convergence."""
    found = load("neural")
    if found is None:
        return ""
    parts = []
    for name, entry in found["results"]["data"].items():
        users, items, nnz = entry["shape"]
        sizes = "; ".join(
            f"{kind} {', '.join(f'{k} {v}' for k, v in size.items())}" for kind, size in entry["sizes"].items()
        )
        parts.append(
            f"**{name}**, {users:,} × {items:,}, {nnz:,} interactions. {sizes}; batches of {entry['batch']}.\n"
        )
        head = ["model", "NDCG@100", "Recall@20", "Recall@50", "chosen", "epochs"]
        parts.append(table(head, _models(entry)) + "\n")
    draw(found["results"])
    parts.append("![Validation NDCG@100 after every epoch](img/neural_convergence.png)\n")
    parts.append(f"Test users of the seeded splits: mean and range over seeds 0, 1, 2. {where(found)}.")
    return "\n".join(parts)


def neural_ablation() -> str:
    """Table 2, and where its order does not hold."""
    found = load("neural")
    if found is None:
        return ""
    parts = []
    for name, entry in found["results"]["data"].items():
        measured = {row: entry["rows"][row] for row in PUBLISHED if entry["rows"].get(row)}
        if len(measured) < len(PUBLISHED):
            continue
        rows = [[row, *_cells(runs), f"{PUBLISHED[row]:.3f}"] for row, runs in measured.items()]
        head = ["what of RecVAE", "NDCG@100", "Recall@20", "Recall@50", "paper, ML-20M NDCG@100"]
        parts.append(f"**{name}**\n\n" + table(head, rows) + "\n\n" + _order(measured))
    return "\n\n".join([*parts, f"{where(found)}."]) if parts else ""


def _order(measured: dict[str, list[dict[str, Any]]]) -> str:
    """Pairs whose order here is the paper's in every seed, and the other way round in every seed."""
    same, against, open_ = 0, [], 0
    for a, b in combinations(measured, 2):
        if PUBLISHED[a] == PUBLISHED[b]:
            continue
        better, worse = (a, b) if PUBLISHED[a] > PUBLISHED[b] else (b, a)
        by_seed = {row["seed"]: row["ndcg@100"] for row in measured[worse]}
        gains = [row["ndcg@100"] - by_seed[row["seed"]] for row in measured[better] if row["seed"] in by_seed]
        if all(gain > 0 for gain in gains):
            same += 1
        elif all(gain < 0 for gain in gains):
            against.append(f"{better} over {worse} ({mean(gains):+.4f} here)")
        else:
            open_ += 1
    text = f"Of {same + len(against) + open_} pairs that the paper orders, {same} have its order with every seed, "
    text += f"{len(against)} the opposite with every seed, and {open_} change with the seed."
    return text + (f" The opposite: {'; '.join(against)}." if against else "")


def recvae_time() -> str:
    """An epoch beside the authors' formulation."""
    found = load("recvae")
    if found is None or "time" not in found["results"]:
        return ""
    rows = []
    for r in found["results"]["time"]:
        times = [seconds(r[who]) for who in CONTENDERS]
        fewer = f"{_multiplications(r['shape'][1]):.1f}"
        rows.append([r["data"], r["threads"], r["steps"], *times, r["ratio"], _range(r["ratios"]), fewer])
    head = ["data", "threads", "steps", "fastlae", "authors' formulation", "times as fast", "range", "multiplications"]
    worst = found["results"]["check"]["difference"]
    text = "\n\nAn epoch, batches of 500. With the same noise, loss and gradients of both "
    text += (
        f"differ by at most {worst:.0e} of the largest entry. Last column: how many times as many multiplications the"
    )
    text += " authors' dense products take, where the sparse ones of fastlae count nothing."
    return table(head, rows) + text + f" {where(found)}."


def _multiplications(n_items: int, hidden: int = 600, latent: int = 200) -> float:
    """Of dense products, the authors' over ours, for three passes of the encoder and one of the decoder."""
    layers = 4 * hidden * hidden + 2 * hidden * latent
    first, decoder = n_items * hidden, n_items * latent
    # Theirs: encoder forward and backward and the prior's forward, decoder with both gradients, in every step.
    authors = 4 * (3 * first + 4 * layers + 3 * decoder)
    # Ours: the decoder's scores twice for its own gradient, posteriors once an epoch.
    ours = 3 * (3 * layers + 2 * decoder) + 3 * decoder + layers
    return authors / ours


def _range(values: list[float]) -> str:
    return f"{min(values)} to {max(values)}"


def recvae_memory() -> str:
    """Peak of the loss with its gradients."""
    found = load("recvae")
    if found is None or "memory" not in found["results"]:
        return ""
    rows = [[who, f"{r['added_mb']:.0f} MB"] for who, r in found["results"]["memory"].items()]
    logits = found["results"]["memory"]["fastlae"]["logits_mb"]
    note = f"\n\nLogits of 500 users and 20,108 items alone: {logits} MB. Of both figures, "
    note += f"{20_108 * 200 * 4 / 1e6:.1f} MB are the decoder's new gradient."
    return table(["contender", "added by loss and gradients"], rows) + f"{note} {where(found)}."


def recvae_trajectory() -> str:
    """Loss and NDCG@100 of both, by seed."""
    found = load("recvae")
    if found is None or "trajectory" not in found["results"]:
        return ""
    t = found["results"]["trajectory"]
    rows = []
    for who in ("fastlae", "authors"):
        for seed, row in enumerate(t[who]):
            losses = [f"{row['loss'][e]:.1f}" for e in (0, len(row["loss"]) // 2, -1)]
            rows.append([who, seed, *losses, f"{row['ndcg@100']:.4f}", f"{row['recall@20']:.4f}"])
    middle = t["epochs"] // 2 + 1
    head = ["contender", "seed", "loss, epoch 1", f"epoch {middle}", f"epoch {t['epochs']}", "NDCG@100", "Recall@20"]
    note = f"\n\n{t['data']}, one split, batches of {t['batch']}; mean NDCG@100 "
    note += ", ".join(f"{who} {mean(r['ndcg@100'] for r in t[who]):.4f}" for who in ("fastlae", "authors"))
    return table(head, rows) + note + f". {where(found)}."


def draw(results: Any) -> None:
    """Validation NDCG@100 by epoch and by seconds of training, seed 0; needs matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    data = results["data"]
    figure, axes = pyplot.subplots(len(data), 2, figsize=(10, 3.8 * len(data)), squeeze=False)
    for (left, right), (name, entry) in zip(axes, data.items(), strict=True):
        for axis, methods in ((left, MODELS), (right, ABLATED)):
            for method in methods:
                for row in entry["rows"].get(method, [])[:1]:
                    passes = 1 if method.startswith("Mult") else 4  # over the users in an epoch
                    x = [passes * (i + 1) for i in range(len(row["curve"]))]
                    axis.plot(x, row["curve"], label=method, linewidth=1.3)
            axis.set(xlabel="passes over the users", title=name)
            axis.legend(fontsize=7)
        left.set(ylabel="NDCG@100, validation users")
    write_figure(figure, "neural_convergence")


NEURAL: dict[str, Callable[[], str]] = {
    section.__name__: section for section in (neural, neural_ablation, recvae_time, recvae_memory, recvae_trajectory)
}
