"""ops.spd_inverse beside SciPy's spotrf + spotri, on one symmetric positive definite matrix, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import lapack

import fastlae

from .harness import alternate, median, save


def matrix(n: int, dtype: Any) -> np.ndarray[Any, Any]:
    """Of the kind that models invert: a Gram matrix plus a ridge."""
    X = fastlae.data.make_interactions(n_users=2 * n, n_items=n, n_interactions=40 * n, seed=0)
    G = fastlae.ops.gram(X, dtype=dtype)
    G.reshape(-1)[:: n + 1] += 20
    return G


def lapack_inverse(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Cholesky and inverse by LAPACK, in place; only one triangle is written, as LAPACK leaves it."""
    factor, inverse = (lapack.spotrf, lapack.spotri) if a.dtype == np.float32 else (lapack.dpotrf, lapack.dpotri)
    c, info = factor(a.T, lower=1, overwrite_a=1, clean=0)
    assert info == 0
    c, info = inverse(c, lower=1, overwrite_c=1)
    assert info == 0
    return c.T


def measure(n: int, dtype: Any, repeat: int) -> dict[str, Any]:
    """Both on copies of one matrix, in turns; n^3 operations by convention."""
    A = matrix(n, dtype)
    ours = fastlae.ops.spd_inverse(A)
    theirs = lapack_inverse(A.copy())
    error = float(np.abs(np.triu(ours - theirs)).max() / np.abs(ours).max())
    residual = float(np.abs(ours[:50] @ A - np.eye(50, n)).max())
    buffer = np.empty_like(A)
    del ours, theirs

    def timed(call: Any) -> Any:
        return lambda: call(buffer)

    times: dict[str, list[float]] = {"fastlae": [], "scipy": []}
    contenders = {
        "fastlae": timed(lambda a: fastlae.ops.spd_inverse(a, overwrite_a=True)),
        "scipy": timed(lapack_inverse),
    }
    for _ in range(repeat):
        for name, call in contenders.items():
            np.copyto(buffer, A)
            times[name] += alternate({name: call}, repeat=1)[name]
    return {
        "n": n,
        "dtype": np.dtype(dtype).name,
        "difference": error,
        "residual": residual,
        "seconds": {name: median(t) for name, t in times.items()},
        "gflops": {name: round(n**3 / median(t) / 1e9, 1) for name, t in times.items()},
        "scipy_over_fastlae": round(median(times["scipy"]) / median(times["fastlae"]), 3),
    }


def main() -> None:
    """Several orders that LAPACK survives, in both precisions."""
    rows = [measure(n, np.float32, 5) for n in (2000, 4000, 8000)]
    rows += [measure(4000, np.float64, 3)]
    save("spd_inverse", rows)
