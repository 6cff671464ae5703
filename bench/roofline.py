"""The ceilings of this machine, and how far below them every kernel is that was measured on it (with a picture)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .harness import RESULTS, Workers, earlier, folder_of, machine, save
from .spd_inverse import CASES
from .spd_inverse import measure as measure_products

PICTURES = RESULTS.parents[1] / "docs" / "img"
PRODUCT_SIZE = 4000
BYTES = 1 << 29  # of one array: far more than any cache
BLOCK = 1 << 14  # numbers: 128 KB of two operands stay in a core's cache between the two passes of the triad


def copy(a: Any, b: Any, c: Any) -> None:
    """a = b: two streams."""
    np.copyto(a, b)


def triad(a: Any, b: Any, c: Any) -> None:
    """a = b + 3 c: three streams; NumPy needs two passes, block by block, so that memory sees one."""
    for begin in range(0, len(a), BLOCK):
        part = a[begin : begin + BLOCK]
        np.multiply(c[begin : begin + BLOCK], np.float32(3), out=part)
        part += b[begin : begin + BLOCK]


STREAMS: dict[str, tuple[Callable[[Any, Any, Any], None], int]] = {"copy": (copy, 2), "triad": (triad, 3)}


def bandwidth(threads: int) -> dict[str, Any]:
    """In a worker: GB/s of both, every thread on its own part of the arrays."""
    arrays = [np.ones(BYTES // 4, np.float32) for _ in range(3)]
    parts = [[a[begin : begin + len(a) // threads] for a in arrays] for begin in _begins(len(arrays[0]), threads)]
    found: dict[str, Any] = {"threads": threads}
    with ThreadPoolExecutor(threads) as pool:
        for name, (function, streams) in STREAMS.items():
            seconds = []
            for _ in range(6):
                start = time.perf_counter()
                list(pool.map(lambda part, f=function: f(*part), parts))
                seconds.append(time.perf_counter() - start)
            found[name] = round(streams * BYTES / statistics.median(seconds[1:]) / 1e9, 1)
    return found


def _begins(length: int, threads: int) -> list[int]:
    return [i * (length // threads) for i in range(threads)]


def points(threads: int) -> Iterator[dict[str, Any]]:
    """Kernels on all threads: operations, and the bytes that must cross the memory bus at least.

    Those bytes are a bound: every operand once. What a cache does not keep is read again, so a kernel may be further
    to the left in truth.
    """
    if (found := earlier("spd_inverse")) is not None:
        rows = [r for r in found["rows"] if r["contender"] == "fastlae" and r["threads"] == threads]
        for dtype, size in (("float32", 4), ("float64", 8)):
            if inverse := [r for r in rows if r["kind"] == "inverse" and r["dtype"] == dtype]:
                r = max(inverse, key=lambda r: r["n"])
                yield point(f"inverse, n = {r['n']:,}", dtype, r["n"] ** 3, 2 * size * r["n"] ** 2, r["seconds"])
    if (found := earlier("cost")) is not None:
        rows = [r for r in found["rows"] if r["threads"] == threads]
        if gram := [r for r in rows if r["op"] == "gram"]:
            r = max(gram, key=lambda r: r["additions"])
            size = 4 * r["nnz"] + 4 * r["items"] ** 2
            yield point(f"gram, {r['nnz'] / 1e6:g} M x {r['items']:,}", "float32", r["additions"], size, r["seconds"])
        if recommend := [r for r in rows if r["op"] == "recommend"]:
            r = max(recommend, key=lambda r: r["nnz"] * r["items"])
            size = 4 * r["items"] ** 2 + 8 * r["nnz"]
            label = f"recommend, {r['users']:,} users x {r['items']:,}"
            yield point(label, "float32", 2 * r["nnz"] * r["items"], size, r["seconds"])
    if (found := earlier("gram")) is not None and "additions" in found:
        shape = found["shape"]
        size = 4 * shape["n_interactions"] + 4 * shape["n_items"] ** 2
        label = f"gram, {shape['n_interactions'] / 1e6:g} M x {shape['n_items']:,}"
        yield point(label, "float32", found["additions"], size, found["seconds"]["fastlae"])


def point(label: str, dtype: str, operations: float, size: float, seconds: float) -> dict[str, Any]:
    """One kernel in the picture."""
    return {
        "kernel": label,
        "dtype": dtype,
        "operations_per_byte": float(f"{operations / size:.3g}"),
        "gflops": float(f"{operations / seconds / 1e9:.3g}"),
    }


def with_ceilings(kernels: list[dict[str, Any]], peaks: dict[str, float], gb_per_s: float) -> list[dict[str, Any]]:
    """Every kernel with the lower of its two roofs, and the share of it that is reached."""
    done = []
    for kernel in kernels:
        roof = min(peaks[kernel["dtype"]], kernel["operations_per_byte"] * gb_per_s)
        done.append({**kernel, "roof": float(f"{roof:.3g}"), "share": round(kernel["gflops"] / roof, 3)})
    return done


def draw(results: dict[str, Any], path: Path) -> None:
    """Both axes logarithmic: the slope is the memory's bandwidth, the flat lines are the best matrix products."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), dpi=110, layout="constrained")
    kernels = results["kernels"]
    low, high = 0.25, 4 * max([k["operations_per_byte"] for k in kernels] + [64.0])
    x = np.geomspace(low, high, 400)
    for dtype, style in (("float32", "-"), ("float64", "--")):
        peak = results["peak_gflops"][dtype]
        axes.plot(x, np.minimum(peak, x * results["gb_per_s"]), "k" + style, lw=1.2)
        axes.annotate(
            f"best product, {dtype}: {peak:.0f}",
            (low, peak),
            (4, 3),
            textcoords="offset points",
            ha="left",
            fontsize=8,
        )
    axes.annotate(
        f"memory, {results['gb_per_s']:.0f} GB/s",
        (low, low * results["gb_per_s"]),
        (14, 2),
        textcoords="offset points",
        fontsize=8,
        rotation=32,
        rotation_mode="anchor",
    )
    markers = "osD^v<>Php*X"  # labels beside the points would run into each other: a legend names them
    for i, kernel in enumerate(kernels):
        axes.plot(
            kernel["operations_per_byte"],
            kernel["gflops"],
            markers[i % len(markers)],
            color="C0" if kernel["dtype"] == "float32" else "C1",
            label=f"{kernel['kernel']}, {kernel['dtype']}: {kernel['gflops']:g}",
        )
    axes.legend(loc="lower right", fontsize=8)
    axes.set(xscale="log", yscale="log", xlim=(low, high), xlabel="operations per byte of memory traffic, at least")
    axes.set(ylabel="billion operations per second", ylim=(1, 2 * results["peak_gflops"]["float32"]))
    axes.grid(alpha=0.25)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    """Ceilings on one thread and on all; the kernels from results that are there."""
    everything = machine()["threads"]
    ceilings = []
    with Workers() as workers:
        for threads in sorted({1, everything}):
            row = workers("bandwidth").call("bench.roofline:bandwidth", threads)
            for dtype in ("float32", "float64"):
                products = measure_products("gemm", PRODUCT_SIZE, dtype, threads, list(CASES["gemm"]), workers)
                best = max(products, key=lambda r: r["gflops"])
                row |= {dtype: best["gflops"], f"{dtype}_by": best["contender"]}
            ceilings.append({k: v for k, v in row.items() if k != "peak_gb"})
            print(ceilings[-1], flush=True)
    top = ceilings[-1]
    peaks, gb_per_s = {dtype: top[dtype] for dtype in ("float32", "float64")}, max(top["copy"], top["triad"])
    kernels = with_ceilings(list({p["kernel"] + p["dtype"]: p for p in points(everything)}.values()), peaks, gb_per_s)
    results = {"ceilings": ceilings, "peak_gflops": peaks, "gb_per_s": gb_per_s, "kernels": kernels}
    try:
        draw(results, PICTURES / f"roofline-{folder_of(machine()).name}.png")
    except ModuleNotFoundError:
        print("no picture without matplotlib")
    save("roofline", results)
