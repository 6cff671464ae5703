"""On a CUDA device, beside torch and CuPy: ratios in one run, results checked before they are timed.

`bench/gpu.sh` runs it. Cases: `python -m bench gpu` all of them, or FASTLAE_GPU_CASES=inverse,gram,recommend,fit.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastlae
from fastlae import ops

from .harness import save

# users, items, interactions
SHAPES = {"ml-20m": (136_677, 20_108, 9_990_682), "msd": (571_355, 41_140, 33_633_450)}


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


def positive_definite(torch: Any, n: int) -> Any:
    """Of the kind that models invert: a Gram matrix plus a ridge, made on the device."""
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(n, n // 4, device="cuda", generator=generator) * (4.0 / n) ** 0.5
    a = x @ x.T
    a = (a + a.T) / 2
    a.diagonal().add_(0.1)
    return a


def inverse(torch: Any) -> list[dict[str, Any]]:
    """spd_inverse in place beside cholesky + cholesky_inverse and inv; n^3 operations by convention."""
    results = []
    for n in (5_000, 20_000, 40_000):
        a = positive_definite(torch, n)
        buffer = torch.empty_like(a)
        rows = torch.arange(0, n, n // 64, device="cuda")
        unit = torch.zeros(len(rows), n, device="cuda")
        unit[torch.arange(len(rows)), rows] = 1

        def refill(buffer: Any = buffer, a: Any = a) -> None:
            buffer.copy_(a)

        def residual(c: Any, a: Any = a, rows: Any = rows, unit: Any = unit) -> float:
            return float((c[rows] @ a - unit).abs().max())

        record: dict[str, Any] = {"n": n, "seconds": {}, "residual": {}}
        contenders: dict[str, Callable[[], Any]] = {
            "fastlae": lambda b=buffer: ops.spd_inverse(b, overwrite_a=True),
            "fastlae, tensor cores": lambda b=buffer: ops.spd_inverse(b, overwrite_a=True, tensor_cores=True),
            "torch.cholesky_inverse(cholesky)": lambda b=buffer: torch.cholesky_inverse(torch.linalg.cholesky(b)),
            "torch.linalg.inv": lambda b=buffer: torch.linalg.inv(b),
        }
        for name, call in contenders.items():
            try:
                refill()
                record["residual"][name] = residual(call())
                record["seconds"][name] = seconds(torch, call, 3 if n < 40_000 else 1, refill)
            except (torch.cuda.OutOfMemoryError, fastlae.CudaError, ValueError) as error:
                record["seconds"][name] = None
                record.setdefault("errors", {})[name] = str(error)
            torch.cuda.empty_cache()
        b = torch.randn(8192, 8192, device="cuda")
        rate = 2 * 8192**3 / seconds(torch, lambda b=b: b @ b)
        ours = record["seconds"]["fastlae"]
        record["gemm_tflops"] = round(rate / 1e12, 2)
        if ours:
            record["tflops"] = round(n**3 / ours / 1e12, 2)
            record["share_of_gemm"] = round(n**3 / ours / rate, 3)
        results.append(record)
        del a, buffer, b
        torch.cuda.empty_cache()
    return results


def gram(torch: Any) -> dict[str, Any]:
    """ops.gram beside cuSPARSE's product (cupyx X.T @ X), X being on the device."""
    users, items, count = SHAPES["ml-20m"]
    X = fastlae.data.make_interactions(n_users=users, n_items=items, n_interactions=count, seed=0).astype(np.float32)
    parts = [torch.from_numpy(np.array(part)).cuda() for part in (X.indptr, X.indices, X.data)]
    there = torch.sparse_csr_tensor(*parts, size=X.shape, check_invariants=True)
    ours = ops.gram(there)
    equal = bool((ours.cpu().numpy() == ops.gram(X)).all())
    assert equal, "counts must equal the CPU's"
    record: dict[str, Any] = {"shape": X.shape, "interactions": int(X.nnz), "equal_to_cpu": equal}
    record["seconds"] = {"fastlae": seconds(torch, lambda: ops.gram(there, out=ours), 5)}
    try:
        import cupy
        import cupyx.scipy.sparse as csp

        x = csp.csr_matrix(X)
        record["seconds"]["cupyx X.T @ X"] = seconds(torch, lambda: x.T.tocsr() @ x, 2)
        cupy.get_default_memory_pool().free_all_blocks()
    except Exception as error:  # not installed, or out of memory
        record["cupyx"] = str(error)
    return record


def recommend(torch: Any) -> dict[str, Any]:
    """ops.recommend beside a dense product, a mask and topk in torch, for 10,000 users, and for one."""
    n, k, users = 20_108, 100, 10_000
    X = fastlae.data.make_interactions(n_users=users, n_items=n, n_interactions=730_000, seed=0).astype(np.float32)
    W = torch.randn(n, n, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    results: dict[str, Any] = {"items": n, "k": k}
    for name, x in (("all", X), ("one", X[np.argmin(np.abs(np.diff(X.indptr) - 70))])):
        parts = [torch.from_numpy(np.array(part)).cuda() for part in (x.indptr, x.indices, x.data)]
        there = torch.sparse_csr_tensor(*parts, size=x.shape, check_invariants=True)

        def dense(there: Any = there) -> Any:
            seen = there.to_dense()
            scores = seen @ W
            scores[seen > 0] = -torch.inf
            return torch.topk(scores, k, dim=1)

        items, _ = ops.recommend(there, W, k=k)
        same = float((items == dense().indices).float().mean())
        assert same > 0.999, same  # sums in another order may swap neighbours
        results[name] = {
            "users": x.shape[0],
            "interactions": int(x.nnz),
            "seconds": {
                "fastlae": seconds(torch, lambda there=there: ops.recommend(there, W, k=k), 5),
                "torch": seconds(torch, dense, 5),
            },
        }
    return results


def fit(torch: Any) -> list[dict[str, Any]]:
    """From CSR on the host to W on the device."""
    results = []
    for name, (users, items, count) in SHAPES.items():
        X = fastlae.data.make_interactions(n_users=users, n_items=items, n_interactions=count, seed=0)
        torch.cuda.reset_peak_memory_stats()
        record: dict[str, Any] = {"shape": name, "interactions": int(X.nnz), "seconds": {}}
        for model in (fastlae.EASE(l2=500.0, device="cuda"), fastlae.DEQL(l2=50.0, dropout=0.3, device="cuda")):
            record["seconds"][type(model).__name__] = seconds(torch, lambda model=model, X=X: model.fit(X), 2)
        record["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        results.append(record)
        torch.cuda.empty_cache()
    return results


def main() -> None:
    """All cases, or those that FASTLAE_GPU_CASES names."""
    import torch

    from fastlae._backend import cuda

    torch.backends.cuda.matmul.allow_tf32 = False
    cases = {"inverse": inverse, "gram": gram, "recommend": recommend, "fit": fit}
    wanted = os.environ.get("FASTLAE_GPU_CASES", ",".join(cases)).split(",")
    results: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cublas": cuda().cublas_version(),
    }
    for name in wanted:
        results[name] = cases[name](torch)
        save("gpu", results)  # what there is so far: time may run out
