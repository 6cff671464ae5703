"""The sections of docs/performance.md: one for each benchmark's results, whole or in part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .harness import folder_of
from .tables import load_all, seconds, table, where


def gram(found: Any) -> str:
    """Every contender on every case; results of an older form have one case and its seconds only."""
    results = found["results"]
    old = {"shape": results.get("shape"), "additions": results.get("additions")}
    old["contenders"] = {name: {"seconds": s} for name, s in results.get("seconds", {}).items()}
    rows = []
    for name, case in results.get("cases", {"ml-20m shape": old}).items():
        shape = case["shape"]
        best = min(r["seconds"] for c, r in case["contenders"].items() if c.startswith("fastlae"))
        data = f"{name}: {shape['n_users']:,} × {shape['n_items']:,}, {shape['n_interactions'] / 1e6:.3g} M"
        for contender, r in case["contenders"].items():
            additions = f"{case['additions'] / r['seconds'] / 1e9:.2f}"
            memory = f"{r['peak_gb']:.2f}" if "peak_gb" in r else ""
            ratio = f"{r['seconds'] / best:.1f}"
            rows.append([data, contender, seconds(r["seconds"]), ratio, additions, memory])
        if write := case.get("write"):
            rows += [
                [data, f"writing the result alone, {threads} threads", seconds(s), f"{s / best:.2f}", "", ""]
                for threads, s in write.items()
            ]
    head = ["interactions", "contender", "time", "times fastlae's best", "billion additions a second", "peak, GB"]
    return table(head, rows) + _machine(found)


def spd_inverse(found: Any) -> str:
    """Rates on all threads and on one, then the bars."""
    rows = found["results"]["rows"]
    inverses = [r for r in rows if r["kind"] == "inverse"]
    contenders = [c for c in ("fastlae", "scipy", "torch", "numpy") if any(r["contender"] == c for r in inverses)]
    by = {(r["dtype"], r["threads"], r["n"], r["contender"]): r for r in inverses}
    lines = []
    for dtype, threads, n in sorted({key[:3] for key in by}, key=lambda k: (k[0], -k[1], k[2])):
        cells = []
        for contender in contenders:
            r = by.get((dtype, threads, n, contender))
            cells.append(f"{r['gflops']:.0f} ({r['matrices']:.1f})" if r else "")
        ours = by.get((dtype, threads, n, "fastlae"), {})
        product = f"{ours['best_product']:.0f}" if "best_product" in ours else ""
        lines.append([dtype, threads, f"{n:,}", *cells, product, f"{ours['residual']:.0e}" if ours else ""])
    names = {"scipy": "SciPy potrf + potri", "torch": "torch Cholesky inverse", "numpy": "numpy.linalg.inv"}
    head = ["dtype", "threads", "n", *(names.get(c, c) for c in contenders), "best product", "our residual"]
    return (
        "Billion operations a second, an inverse being n³ of them whatever the contender does; in brackets the memory "
        "at its peak in matrices, the given one included.\n\n"
        + table(head, lines)
        + "\n\nWhat is wanted of it, as ratios of time, at most one row a size:\n\n"
        + bars_table(found["results"]["bars"])
        + _machine(found)
    )


def bars_table(bars: list[dict[str, Any]]) -> str:
    """Wanted and measured, missed or not."""
    rows = [
        [b["bar"], b["dtype"], b["threads"], f"{b['n']:,}", b["wanted"], f"{b['measured']:.2f}", _met(b)]
        for b in sorted(bars, key=lambda b: (b["bar"], b["dtype"], b["threads"], b["n"]))
    ]
    return table(["bar", "dtype", "threads", "n", "wanted", "measured", "met"], rows)


def _met(bar: dict[str, Any]) -> str:
    return "yes" if bar["met"] else "**no**"


def recommend(found: Any) -> str:
    """All users and one user, every precision of ours beside every peer."""
    results = found["results"]
    rows = []
    for kind in ("dense", "sparse"):
        part = results.get(kind, {})
        forms = {f"fastlae, {form}": row for form, row in part.get("fastlae", {}).items()}
        peers = {p: part[p] for p in ("numpy", "implicit", "irspack", "lenskit") if part.get(p)}
        for name, r in (forms | peers).items():
            ratio = part["ratio"].get(name)
            told = [f"{ratio['all']:.1f}", f"{ratio['one']:.1f}"] if ratio else ["", ""]
            rows.append([f"W {kind}", name, f"{r['users_per_s']:,.0f}", f"{r['one_ms']:.2f}", *told])
    head = ["weights", "contender", "users a second", "one user, ms", "we are faster, all", "we are faster, one"]
    return (
        f"{results['items']:,} items, the best {results['k']}, {results['users']:,} users with "
        f"{results['interactions']:,} interactions.\n\n" + table(head, rows) + _machine(found)
    )


def evaluate(found: Any) -> str:
    """Metrics and splits beside NumPy and packages."""
    results, rows = found["results"], []
    if g := results.get("gowalla"):
        what = f"7 metrics at 20 and 50, {g['users']:,} users"
        part = f"the same from scores, {g['scored_users']:,} users"
        s = g["seconds"]
        rows += [[what, "fastlae", seconds(s["fastlae"])], [what, "NumPy loop", seconds(s["numpy"])]]
        rows += [[what, "(scoring these users by a dense W)", seconds(s["scoring"])]]
        rows += [[part, "fastlae", seconds(s["fastlae, from scores"])]]
        for peer, r in g.get("peers", {}).items():
            label = {"irspack": part, "lenskit": what}.get(peer, "weak split, Gowalla")
            rows.append([label, peer.partition("_")[0], seconds(r["seconds"])])
        rows += _splits("Gowalla", g["split_seconds"])
    if m := results.get("ml20m"):
        rows.append(["7 metrics at 20 and 50, MovieLens-20M's shape", "fastlae", seconds(m["seconds"]["fastlae"])])
        rows += _splits("MovieLens-20M's shape", m["split_seconds"])
    return table(["what", "contender", "time"], rows) + _machine(found)


def _splits(data: str, times: dict[str, float]) -> list[list[Any]]:
    rows = []
    for name, s in times.items():
        kind, _, other = name.partition(", ")
        rows.append([f"{kind} split, {data}", "NumPy sort" if other else "fastlae", seconds(s)])
    return rows


def data(found: Any) -> str:
    """Files read as interactions, beside pyarrow's own read."""
    results, rows = found["results"], []
    for ending in ("csv", "parquet"):
        if r := results.get(ending):
            rows.append([ending, seconds(r["seconds"]["fastlae"]), seconds(r["seconds"]["pyarrow"])])
            rows[-1] += [r["fastlae_over_pyarrow"], r["peak_gb"]["fastlae"], r["peak_gb"]["pyarrow"], r["table_gb"]]
    head = ["file", "Interactions.read", "pyarrow alone", "ratio", "peak, GB", "pyarrow's peak, GB", "table, GB"]
    return f"{results['shape']['n_rows']:,} rows.\n\n" + table(head, rows) + _machine(found)


def ease(found: Any) -> str:
    """Whole fits, then DEQL's weights."""
    results, rows = found["results"], []
    ours = {r["data"]: r["seconds"] for r in results["rows"] if r["contender"] == "fastlae, float32"}
    for r in results["rows"]:
        ratio = f"{r['seconds'] / ours[r['data']]:.1f}" if r["data"] in ours else ""
        label = f"{r['data']}: {r['users']:,} × {r['items']:,}, {r['nnz'] / 1e6:.3g} M"
        rows.append([label, r["contender"], seconds(r["seconds"]), ratio, r["added_gb"], f"{r['difference']:.0e}"])
    head = ["interactions", "EASE by", "time", "times ours", "added, GB", "largest difference"]
    text = table(head, rows)
    if loops := results.get("deql"):
        names = list(loops[0]["seconds"])
        lines = [[f"{r['n']:,}", *(seconds(r["seconds"][name]) for name in names)] for r in loops]
        last = loops[-1]["seconds"]
        ratio = last["the paper's loop"] / last["ops.deql_weights"]
        text += "\n\nDEQL's weights, once the inverse is there, in float64:\n\n" + table(["n", *names], lines)
        text += f"\n\nAt n = {loops[-1]['n']:,} the closed form is {ratio:,.0f} times as fast as the loop."
    return text + _machine(found)


def cost(found: Any) -> str:
    """Exponents, and how well estimates meet what was measured."""
    rows = []
    for r in found["results"]["exponents"]:
        span = f"{r['grows']} {r['from']:,} to {r['to']:,}"
        rows.append([r["sweep"], span, r["threads"], r["exponent"], seconds(r["seconds_at_largest"])])
        rows[-1].append(r["gb_at_largest"])
    text = table(["what", "grows", "threads", "exponent of time", "time at the largest", "added, GB"], rows)
    if off := found["results"].get("estimates_off_by"):
        told = ", ".join(f"{op} {factor:.2g}" for op, factor in off.items())
        text += f"\n\nLargest factor between an estimate of `fastlae._cost` and what was measured: {told}."
    return text + _machine(found)


def large(found: Any) -> str:
    """The cases that were run, one line each."""
    rows = []
    for r in found["results"].values():
        if "fit_seconds" in r:
            what = f"EDLAE on {r['n_users']:,} × {r['n_items']:,}, {r['n_interactions'] / 1e6:.3g} M, {r['form']} form"
            done = f"fit {r['fit_seconds']:.0f} s, 20 items for every user {r['recommend_seconds']:.0f} s"
        elif "gflops" in r:
            what = f"inverse, n = {r['n']:,}"
            done = f"{r['seconds']:.0f} s, {r['gflops']:.0f} GFLOP/s, residual {r['residual']:.0e}"
        else:
            what = f"fit on {r['n_users']:,} × {r['n_items']:,}" if "n_users" in r else f"inverse, n = {r['n']:,}"
            done = f"stopped after {r['stopped_after']:.0f} s: its memory alone was asked for"
        rows.append([what, r["storage"], done, f"{r['peak_gb']:.2f}"])
    return table(["what", "storage", "measured", "peak, GB"], rows) + _machine(found)


def roofline(found: Any) -> str:
    """Ceilings, then kernels below them."""
    results = found["results"]
    head = ["threads", "copy, GB/s", "triad, GB/s", "best product, float32", "by", "best product, float64", "by"]
    keys = ("threads", "copy", "triad", "float32", "float32_by", "float64", "float64_by")
    text = table(head, [[row[key] for key in keys] for row in results["ceilings"]])
    rows = [
        [k["kernel"], k["dtype"], k["operations_per_byte"], k["gflops"], k["roof"], f"{100 * k['share']:.0f} %"]
        for k in results["kernels"]
    ]
    head = ["kernel", "dtype", "operations a byte", "GFLOP/s", "roof", "reached"]
    name = folder_of(found["machine"]).name
    picture = f"\n\n![Kernels below the roof of this machine](img/roofline-{name}.png)\n\n"
    return text + picture + table(head, rows) + _machine(found)


def _machine(found: Any) -> str:
    return f"\n\n{where(found)}."


def sweep(found: Any) -> str:
    """A sweep beside its inverses."""
    r = found["results"]
    rows = [[f"the sweep: {r['points']} points", seconds(r["seconds"]["sweep"]), f"{r['ratio']:.2f}"]]
    rows.append([f"its {r['inverses']} inverses alone", seconds(r["seconds"]["inverses"]), "1.00"])
    return table(["MovieLens-1M, DEQL", "time", "times the inverses"], rows) + _machine(found)


def nn_functional(found: Any) -> str:
    """Every operator and contender: time, and memory of a call."""
    rows = []
    for row in found["results"]["rows"]:
        ours = row["contenders"]["fastlae"]["seconds"]
        for name, r in row["contenders"].items():
            ratio = f"{r['seconds'] / ours:.1f}"
            rows.append([row["shape"], row["what"], name, seconds(r["seconds"]), ratio, f"{r['added_mb']:,}"])
    head = ["a batch of 500 of", "forward and backward", "contender", "time", "times fastlae's", "added, MB"]
    return table(head, rows) + _machine(found)


def _on_every_machine(section: Callable[[Any], str]) -> Callable[[], str]:
    return lambda: "\n\n".join(section(found) for found in load_all(section.__name__))


def backends(found: Any) -> str:
    """Other libraries' EASE, and ours in its place."""
    results = found["results"]
    rows = []
    for r in results["rows"]:
        theirs, ours = r["seconds"][r["library"]], r["seconds"]["fastlae"]
        shape = f"{r['data']}: {r['shape'][0]:,} × {r['shape'][1]:,}"
        rows.append(
            [shape, r["library"], seconds(theirs), seconds(ours), f"{theirs / ours:.1f}", f"{r['difference']:.0e}"]
        )
    head = ["interactions", "library", "its own", "fastlae", "times as fast", "largest difference of scores, relative"]
    return table(head, rows) + _machine(found)


def backends_numpy1(found: Any) -> str:
    """The same of libraries that need NumPy 1."""
    return backends(found)


PERFORMANCE: dict[str, Callable[[], str]] = {
    section.__name__: _on_every_machine(section)
    for section in (
        gram,
        spd_inverse,
        recommend,
        evaluate,
        data,
        sweep,
        ease,
        cost,
        large,
        roofline,
        nn_functional,
        backends,
        backends_numpy1,
    )
}
