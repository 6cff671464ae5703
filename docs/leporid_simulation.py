"""How far a node's Laplacian Eigenmap moves when an edge is added to it, by degree: why LEPORID regularizes.

    python docs/leporid_simulation.py --graphs 50 --plot docs/img/leporid_simulation.png

Figure 2 of Zhang et al., KDD 2021. In each of 50 Barabasi-Albert graphs of 100 nodes, new nodes coming with 10 edges,
every node is given one more random edge, 30 times over, and the 40 smallest eigenvectors of the Laplacian L = D - W are
computed again. Eigenvectors are determined but for their signs, and where eigenvalues are close, but for a rotation
among them; neither moves a node. So the new vectors are turned to match the old ones before they are compared: by their
signs, or by the orthogonal matrix that brings them closest (Procrustes). Compared as they come from the solver, signs
flip, and what is measured is the flips.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRAPHS, NODES, EDGES, TRIALS, DIM = 50, 100, 10, 30, 40


def barabasi_albert(n: int, edges: int, rng: np.random.Generator) -> Array:
    """A graph by preferential attachment: every new node is joined to so many others, likelier those of high degree."""
    W = np.zeros((n, n))
    ends: list[int] = []  # every node as often as it has edges
    for new in range(edges, n):
        chosen: set[int] = set(range(edges)) if not ends else set()
        while len(chosen) < edges:
            chosen.add(ends[rng.integers(len(ends))])
        for other in chosen:
            W[new, other] = W[other, new] = 1
            ends += [new, other]
    return W


def embedding(W: Array) -> Array:
    """The smallest eigenvectors of L = D - W."""
    return np.asarray(scipy.linalg.eigh(np.diag(W.sum(axis=1)) - W, subset_by_index=(0, DIM - 1))[1])


def moved(before: Array, after: Array, node: int) -> dict[str, float]:
    """The distance that a node has moved, by how the two embeddings were aligned."""
    signs = np.where((before * after).sum(axis=0) < 0, -1.0, 1.0)
    U, _, Vt = np.linalg.svd(after.T @ before)
    aligned = {"not aligned": after, "signs": after * signs, "rotation": after @ (U @ Vt)}
    return {name: float(np.linalg.norm(before[node] - found[node])) for name, found in aligned.items()}


def simulate(graphs: int = GRAPHS, trials: int = TRIALS, seed: int = 0) -> tuple[Array, dict[str, Array]]:
    """Degrees of all nodes of all graphs, and the mean distance that each has moved, by alignment."""
    rng = np.random.default_rng(seed)
    degrees: list[float] = []
    means: dict[str, list[float]] = {}
    for _ in range(graphs):
        W = barabasi_albert(NODES, EDGES, rng)
        before = embedding(W)
        for node in range(NODES):
            free = np.flatnonzero((W[node] == 0) & (np.arange(NODES) != node))
            if not len(free):
                continue
            found: list[dict[str, float]] = []
            for other in rng.choice(free, trials):
                W[node, other] = W[other, node] = 1
                found.append(moved(before, embedding(W), node))
                W[node, other] = W[other, node] = 0
            degrees.append(W[node].sum())
            for name in found[0]:
                means.setdefault(name, []).append(float(np.mean([one[name] for one in found])))
    return np.array(degrees), {name: np.array(values) for name, values in means.items()}


def plot(degrees: Array, means: dict[str, Array], path: str) -> None:
    """Mean and range from the 10th to the 90th percentile, by degree."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 3.8))
    shown = [d for d in range(10, 61) if (degrees == d).sum() >= 3]
    for name, values in means.items():
        parts = [values[degrees == d] for d in shown]
        line: Any = axis.plot(shown, [p.mean() for p in parts], label=name)[0]
        low, high = zip(*(np.percentile(p, (10, 90)) for p in parts), strict=True)
        axis.fill_between(shown, low, high, alpha=0.15, color=line.get_color())
    axis.set(xlabel="degree of the node", ylabel="distance that it moves", yscale="log", title="One more random edge")
    axis.legend(title="aligned by")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Simulate, print, and plot where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=GRAPHS, help="a graph takes some seconds")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    degrees, means = simulate(options.graphs)
    for name, values in means.items():
        few, many = values[degrees <= 12].mean(), values[degrees >= 30].mean()
        print(f"{name:12} moved by {few:.3f} at a degree of 10 to 12, {many:.3f} from 30 on: {few / many:.1f} times")
    if options.plot:
        plot(degrees, means, options.plot)


if __name__ == "__main__":
    main()
