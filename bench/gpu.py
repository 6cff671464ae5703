"""On a CUDA device, beside torch and CuPy: ratios in one run, results checked before they are timed.

`bench/gpu.sh` runs every case in a process of its own: FASTLAE_GPU_CASES=gram,inverse names two, for instance, and all
are put into one file. `bars` in it are what the library is to reach on an H200.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

import fastlae
from fastlae import ops
from fastlae._arrays import device_csr, place_of
from fastlae.ops import device

from .harness import earlier, save

# users, items, interactions
SHAPES = {
    "ml-20m": (136_677, 20_108, 9_990_682),
    "msd": (571_355, 41_140, 33_633_450),
    "amazon-book": (52_643, 91_599, 2_984_108),
}
SECONDS = {"ml-20m": 1.0, "msd": 5.0}  # that a fit may take, from the host's matrix to weights on the device


def interactions(name: str) -> Any:
    """Generated data of a shape; kept on the disk for the cases after this one, since making it can take a minute."""
    path = pathlib.Path(tempfile.gettempdir()) / f"fastlae-bench-{name}.npz"
    if path.exists():
        return sp.load_npz(path)
    users, items, count = SHAPES[name]
    X = fastlae.data.make_interactions(n_users=users, n_items=items, n_interactions=count, seed=0).astype(np.float32)
    unfinished = path.with_suffix(".unfinished.npz")
    sp.save_npz(unfinished, X, compressed=False)
    unfinished.rename(path)
    return X


def seconds(torch: Any, call: Callable[[], Any], repeat: int = 3, prepare: Callable[[], Any] | None = None) -> float:
    """Median of `repeat` calls after one that is not counted, the device having finished before and after each."""
    times = []
    for turn in range(repeat + 1):
        if prepare:
            prepare()
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        if turn:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def bar(what: str, measured: float, asked: float, *, most: bool = False) -> dict[str, Any]:
    """A bar of speed: at least (or at most) so much."""
    return {"what": what, "measured": measured, "asked": asked, "met": measured <= asked if most else measured >= asked}


def gemm_rate(torch: Any, *, tf32: bool = False) -> float:
    """Operations a second of torch's float32 product of order 8,192, on random data."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    b = torch.randn(8192, 8192, device="cuda")
    rate = 2 * 8192**3 / seconds(torch, lambda: b @ b, 5)
    torch.backends.cuda.matmul.allow_tf32 = False
    return float(rate)


def on_device(torch: Any, X: Any) -> Any:
    parts = [torch.from_numpy(np.array(part)).cuda() for part in (X.indptr, X.indices, X.data)]
    return torch.sparse_csr_tensor(*parts, size=X.shape, check_invariants=True)


def machine(torch: Any, record: dict[str, Any]) -> None:
    """The ceilings: bytes copied a second (read and written), products of float32."""
    source = torch.randn(2**30, device="cuda")
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / seconds(torch, lambda: target.copy_(source), 5)
    host = torch.empty(2**28, dtype=torch.uint8, pin_memory=True)
    sent = host.nbytes / seconds(torch, lambda: host.to("cuda", non_blocking=True), 5)
    record |= {
        "torch": torch.__version__,
        "copy_gb_s": round(copied / 1e9),
        "host_to_device_gb_s": round(sent / 1e9, 1),
        "float32_tflops": round(gemm_rate(torch) / 1e12, 1),
        "tf32_tflops": round(gemm_rate(torch, tf32=True) / 1e12, 1),
    }


def positive_definite(torch: Any, n: int) -> Any:
    """Of the kind that models invert: a Gram matrix plus a ridge, made on the device."""
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(n, n // 4, device="cuda", generator=generator) * (4.0 / n) ** 0.5
    a = x @ x.T
    del x
    a.diagonal().add_(0.1)
    a.copy_(torch.tril(a) + torch.tril(a, -1).T)
    return a


def inverse(torch: Any, found: dict[str, Any]) -> None:
    """spd_inverse in place beside cholesky + cholesky_inverse and inv; n^3 operations by convention."""
    rate = gemm_rate(torch)
    cases: list[Any] = []
    bars: list[Any] = []
    found |= {"float32_tflops": round(rate / 1e12, 1), "cases": cases, "bars": bars}
    for n in (5_000, 20_000, 40_000):
        a = positive_definite(torch, n)
        buffer = torch.empty_like(a)

        def refill(buffer: Any = buffer, a: Any = a) -> None:
            buffer.copy_(a)

        record: dict[str, Any] = {"n": n, "seconds": {}, "residual": {}}
        cases.append(record)
        contenders: dict[str, Callable[[], Any]] = {
            "fastlae": lambda b=buffer: device.invert_in_place(b) or b,
            "fastlae, tensor cores": lambda b=buffer: device.invert_in_place(b, tensor_cores=True) or b,
            "torch.cholesky_inverse(cholesky)": lambda b=buffer: torch.cholesky_inverse(torch.linalg.cholesky(b)),
            "torch.linalg.inv": lambda b=buffer: torch.linalg.inv(b),
        }
        for name, call in contenders.items():
            try:
                refill()
                record["residual"][name] = ops.inverse_residual(a, call())
                record["seconds"][name] = seconds(torch, call, 3 if n < 40_000 else 1, refill)
            except Exception as error:  # of memory, most likely; the others go on
                record.setdefault("errors", {})[name] = f"{type(error).__name__}: {error}"[:300]
            torch.cuda.empty_cache()
        took = record["seconds"]
        for ours in ("fastlae", "fastlae, tensor cores"):
            if ours not in took:
                continue
            share = n**3 / took[ours] / rate
            record[f"{ours}: tflops"] = round(n**3 / took[ours] / 1e12, 2)
            record[f"{ours}: share of float32 product"] = round(share, 3)
            if n < 20_000:
                continue
            bars.append(bar(f"{ours}, {n}: share of the float32 product's rate", share, 0.6))
            for theirs, times in (("torch.cholesky_inverse(cholesky)", 2), ("torch.linalg.inv", 5)):
                if theirs in took:
                    bars.append(bar(f"{ours}, {n}: times {theirs}", took[theirs] / took[ours], times))
        del a, buffer, contenders, call, refill
        torch.cuda.empty_cache()


def gram(torch: Any, record: dict[str, Any]) -> None:
    """ops.gram beside cuSPARSE's product (cupyx X.T @ X), X being on the device."""
    X = interactions("ml-20m")
    items = X.shape[1]
    there = on_device(torch, X)
    weights = np.diff(X.indptr).clip(1) ** -0.5
    want, out = ops.gram(X), torch.empty((items, items), device="cuda")
    record |= {"shape": X.shape, "interactions": int(X.nnz), "seconds": {}, "bars": []}
    heads = {"by cost": device.HEAD_BY_COST, "none": device.NO_HEAD, "1024": 1024, "2048": 2048, "4096": 3900}
    for name, head in heads.items():

        def call(head: int = head, weights: Any = None) -> Any:
            return device.gram(there, user_weights=weights, dtype=None, out=out, head_items=head)

        assert (call().cpu().numpy() == want).all(), "counts must equal the CPU's"
        record["seconds"][f"head {name}"] = seconds(torch, call, 5)
        record["seconds"][f"head {name}, users weighted"] = seconds(torch, lambda: call(weights=weights), 3)
    import cupyx.scipy.sparse as csp

    for users in (len(weights), 20_000, 2_000):  # the largest that cuSPARSE has memory for
        try:
            x, part = csp.csr_matrix(X[:users]), on_device(torch, X[:users])
            theirs = seconds(torch, lambda x=x: x.T.tocsr() @ x, 2)
        except Exception as error:
            record[f"cupyx, {users} users"] = f"{type(error).__name__}: {error}"[:300]
            continue
        ours = seconds(torch, lambda part=part: device.gram(part, user_weights=None, dtype=None, out=out), 5)
        record["seconds"][f"cupyx X.T @ X, {users} users"] = theirs
        record["bars"].append(bar(f"gram, {users} users: times cupyx X.T @ X", theirs / ours, 20))
        break


def recommend(torch: Any, results: dict[str, Any]) -> None:
    """ops.recommend beside a dense product, a mask and topk in torch, for 10,000 users, and for one."""
    n, k, users = 20_108, 100, 10_000
    X = fastlae.data.make_interactions(n_users=users, n_items=n, n_interactions=730_000, seed=0).astype(np.float32)
    W = torch.randn(n, n, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    results |= {"items": n, "k": k, "bars": []}
    for name, x in (("all", X), ("one", X[int(np.argmin(np.abs(np.diff(X.indptr) - 70)))])):
        there = on_device(torch, x)

        def dense(there: Any = there) -> Any:
            seen = there.to_dense()
            scores = seen @ W
            scores[seen > 0] = -torch.inf
            return torch.topk(scores, k, dim=1)

        checked = device_csr(there, place_of(W), dtype=np.dtype(np.float32))
        items, _ = ops.recommend(there, W, k=k)
        same = float((items == dense().indices).float().mean())
        assert same > 0.99, same  # sums in another order may swap neighbours
        took = {
            "fastlae": seconds(torch, lambda there=there: ops.recommend(there, W, k=k), 5),
            "fastlae, matrix checked before": seconds(torch, lambda x=checked: ops.recommend(x, W, k=k), 5),
            "torch": seconds(torch, dense, 5),
        }
        torch.backends.cuda.matmul.allow_tf32 = True
        took["torch, TF32"] = seconds(torch, dense, 5)
        torch.backends.cuda.matmul.allow_tf32 = False
        results[name] = {"users": x.shape[0], "interactions": int(x.nnz), "same": same, "seconds": took}
        results["bars"].append(bar(f"recommend, {name}: times torch", took["torch"] / took["fastlae"], 5))


def fit(torch: Any, results: dict[str, Any]) -> None:
    """From CSR on the host to W on the device."""
    results["bars"] = []
    for name in SECONDS:
        X = interactions(name)
        torch.cuda.reset_peak_memory_stats()
        record: dict[str, Any] = {"interactions": int(X.nnz), "seconds": {}}
        results[name] = record
        for model in (fastlae.EASE(l2=500.0, device="cuda"), fastlae.DEQL(l2=50.0, dropout=0.3, device="cuda")):
            took = seconds(torch, lambda model=model, X=X: model.fit(X), 2)
            record["seconds"][repr(model)] = took
            results["bars"].append(bar(f"fit, {name}, {type(model).__name__}: seconds", took, SECONDS[name], most=True))
            model.__dict__.pop("_weights", None)
        record["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        torch.cuda.empty_cache()


def large(torch: Any, record: dict[str, Any]) -> None:
    """EASE on 91,599 items (Amazon-Book's shape): one matrix of 33.6 GB, and what is beside it."""
    X, ridge = interactions("amazon-book"), 200.0
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    model = fastlae.EASE(l2=ridge, form="items", device="cuda").fit(X)
    torch.cuda.synchronize()
    took = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated()
    record |= {"shape": X.shape, "seconds": took, "peak_gb": round(peak / 1e9, 2)}
    places = np.random.default_rng(0).choice(X.shape[1], 8, replace=False)
    # (G + l2 I) (e_j - w_j) is a multiple of e_j.
    v = -np.stack([model.weights_block(int(j), int(j) + 1)[:, 0] for j in places], axis=1).astype(np.float64)
    v[places, np.arange(8)] += 1
    image = X.T @ (X @ v) + ridge * v
    own = image[places, np.arange(8)].copy()
    image[places, np.arange(8)] = 0
    record["residual"] = float(np.abs(image / own).max())


def solvers(torch: Any, results: dict[str, Any]) -> None:
    """Factors, a sweep of alternating least squares, and SLIM."""
    X = interactions("ml-20m")
    generator = torch.Generator("cuda").manual_seed(0)
    for dim in (64, 256):
        P = torch.randn(20_000, dim, device="cuda", generator=generator)
        E = torch.randn(X.shape[1], dim, device="cuda", generator=generator)
        same = float((ops.recommend_factors(P, E, k=100)[0] == torch.topk(P @ E.T, 100).indices).float().mean())
        assert same > 0.99, same
        took = {
            "fastlae": seconds(torch, lambda P=P, E=E: ops.recommend_factors(P, E, k=100), 5),
            "torch": seconds(torch, lambda P=P, E=E: torch.topk(P @ E.T, 100), 5),
        }
        results[f"recommend_factors, 20,000 users, dim {dim}"] = {"same": same, "seconds": took}
        for solver in ("cg", "cholesky"):
            times = []
            for steps in (1, 3):
                model = fastlae.WMF(dim=dim, steps=steps, solver=solver, device="cuda")
                times.append(seconds(torch, lambda model=model: model.fit(X), 1))
            results[f"WMF, dim {dim}, {solver}: seconds a step"] = (times[1] - times[0]) / 2
    G = ops.gram(on_device(torch, X))
    start = time.perf_counter()
    W = ops.slim(G, l1=200.0, l2=500.0)
    results["SLIM, l1 = 200, l2 = 500"] = {"seconds": time.perf_counter() - start, "weights": int(W.nnz)}


def networks(torch: Any, results: dict[str, Any]) -> None:
    """A forward and backward pass of a batch of 500: own kernels beside plain torch."""
    from fastlae.nn import functional as F
    from fastlae.nn.functional import _native

    items, hidden, batch = 20_108, 600, 500
    X = fastlae.data.make_interactions(n_users=batch, n_items=items, n_interactions=36_500, seed=0).astype(np.float32)
    x = F.csr_tensors(on_device(torch, X))
    W, b = (torch.randn(*shape, device="cuda").requires_grad_() for shape in ((items, hidden), (hidden,)))
    z, mu, logvar = (torch.randn(batch, 200, device="cuda").requires_grad_() for _ in range(3))
    h, scale, shift = (
        torch.randn(*shape, device="cuda").requires_grad_() for shape in ((batch, hidden), (hidden,), (hidden,))
    )
    scores = torch.randn(batch, items, device="cuda").requires_grad_()
    calls = {
        "sparse_linear": (lambda: F.sparse_linear(x, W, b), (W, b)),
        "multinomial_nll": (lambda: F.multinomial_nll(scores, x), (scores,)),
        "swish_norm": (lambda: F.swish_norm(h, scale, shift, residual=h), (h, scale, shift)),
        "composite_prior_logpdf": (lambda: F.composite_prior_logpdf(z, mu, logvar), (z, mu, logvar)),
    }
    module = _native.device_module()

    def took(name: str, found: Any) -> float:
        call, leaves = calls[name]
        _native.device_module = lambda: found  # type: ignore[assignment]
        return seconds(torch, lambda: torch.autograd.grad(call().square().sum(), leaves), 10)

    for name in calls:
        results[name] = {"fastlae": took(name, module), "torch": took(name, None)}


def main() -> None:
    """All cases, or those that FASTLAE_GPU_CASES names, into one file with those that were there."""
    import torch

    from fastlae._backend import cuda

    torch.backends.cuda.matmul.allow_tf32 = False
    every = (machine, gram, recommend, inverse, fit, large, networks, solvers)
    cases: dict[str, Callable[[Any, dict[str, Any]], None]] = {case.__name__: case for case in every}
    asked = os.environ.get("FASTLAE_GPU_CASES")
    results: dict[str, Any] = (earlier("gpu") or {}) if asked else {}
    results["cublas"] = cuda().cublas_version()
    results["device"] = torch.cuda.get_device_name()
    for name in asked.split(",") if asked else cases:
        results[name] = {}
        try:
            cases[name](torch, results[name])
        finally:
            save("gpu", results)  # what there is so far: time may run out
