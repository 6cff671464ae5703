from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def isa() -> str: ...
def gram(
    indptr: Array, indices: Array, values: Array | None, weights: Array | None, out: Array, num_threads: int
) -> None: ...
def spd_inverse(a: Array, num_threads: int) -> None: ...
def asymmetry(a: Array, num_threads: int) -> float: ...
def ranking_sums(
    top: Array,
    indptr: Array,
    indices: Array,
    n_items: int,
    cutoffs: Array,
    hits: Array,
    dcg: Array,
    precision: Array,
    reciprocal_rank: Array,
    num_threads: int,
) -> None: ...
