from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Array = Any  # of torch or CuPy, on a CUDA device

def device_count() -> tuple[int, int, str]: ...
def compute_capability(device: int) -> int: ...
def load_cublas(path: str) -> str: ...
def cublas_version() -> int: ...
def csr_flags(indptr: Array, indices: Array, values: Array | None, cols: int, flags: Array, stream: int) -> None: ...
def gram_workspace(users: int, cols: int, nnz: int) -> int: ...
def gram(
    indptr: Array,
    indices: Array,
    values: Array | None,
    weights: Array | None,
    out: Array,
    head_items: int,
    workspace: Array | None,
    stream: int,
) -> None: ...
def inverse_tile(n: int) -> int: ...
def spd_inverse_workspace(n: int, tile: int, itemsize: int, tensor_cores: bool) -> int: ...
def spd_inverse(a: Array, tile: int, info: Array, tensor_cores: bool, workspace: Array | None, stream: int) -> None: ...
def refine_inverse_workspace(n: int, itemsize: int) -> int: ...
def refine_inverse(a: Array, C: Array, worst: Array, workspace: Array | None, stream: int) -> None: ...
def asymmetry(a: Array, worst: Array, stream: int) -> None: ...
def diagonal_weights(C: Array, alpha: Array, beta: Array, row_scale: Array | None, out: Array, stream: int) -> None: ...
def miller_update(H0_inv: Array, V: Array, E1: Array, E2: Array, out: Array, work: Array, stream: int) -> None: ...
def gram_product(
    indptr: Array, indices: Array, values: Array | None, E: Array, l2: Array | None, out: Array, stream: int
) -> None: ...
def similarities_workspace(queries: int, objects: int) -> int: ...
def similarities(
    queries: tuple[Array, Array, Array | None],
    X: tuple[Array, Array, Array | None],
    rows: Array,
    columns: Array,
    product: bool,
    overlap: float,
    shrink: float,
    first: int,
    out: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def multinomial_nll(
    logits: Array,
    indptr: Array,
    indices: Array,
    values: Array | None,
    loss: Array,
    lse: Array,
    stream: int,
) -> None: ...
def multinomial_nll_backward(
    grad: Array,
    lse: Array,
    logits: Array,
    indptr: Array,
    indices: Array,
    values: Array | None,
    out: Array,
    stream: int,
) -> None: ...
def score(indptr: Array, indices: Array, values: Array | None, W: Array, out: Array, stream: int) -> None: ...
def score_sparse(
    indptr: Array,
    indices: Array,
    values: Array | None,
    W: tuple[Array, Array, Array | None],
    out: Array,
    stream: int,
) -> None: ...
def quadratic_diagonal(
    indptr: Array, indices: Array, values: Array | None, M: Array, out: Array, stream: int
) -> None: ...
def product(a: Array, b: Array, out: Array, transpose_a: bool, transpose_b: bool, stream: int) -> None: ...
def topk_workspace(rows: int, n: int, k: int, itemsize: int) -> int: ...
def topk(
    scores: Array,
    scale: Array | None,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def recommend(
    indptr: Array,
    indices: Array,
    values: Array | None,
    W: Array,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def swish_norm(
    x: Array,
    layer_bias: Array | None,
    residual: Array | None,
    weight: Array,
    bias: Array,
    eps: float,
    y: Array,
    total: Array | None,
    mean: Array,
    scale: Array,
    stream: int,
) -> None: ...
def swish_norm_backward(
    dy: Array,
    dtotal: Array | None,
    x: Array,
    layer_bias: Array | None,
    residual: Array | None,
    weight: Array,
    mean: Array,
    scale: Array,
    dx: Array,
    dresidual: Array | None,
    dweight: Array,
    dbias: Array,
    dlayer_bias: Array | None,
    stream: int,
) -> None: ...
def composite_prior(
    z: Array,
    mu: Array,
    logvar: Array,
    log_weights: Sequence[float],
    wide_logvar: float,
    per_coordinate: bool,
    out: Array,
    stream: int,
) -> None: ...
def composite_prior_backward(
    grad: Array,
    z: Array,
    mu: Array,
    logvar: Array,
    log_weights: Sequence[float],
    wide_logvar: float,
    per_coordinate: bool,
    dz: Array,
    dmu: Array | None,
    dlogvar: Array | None,
    stream: int,
) -> None: ...
def factors_workspace(users: int, n: int, k: int, itemsize: int) -> int: ...
def recommend_factors(
    P: Array,
    E: Array,
    bias: Array | None,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def score_factors(P: Array, E: Array, bias: Array | None, out: Array, stream: int) -> None: ...
def als_rows_workspace(rows: int, dim: int, steps: int, itemsize: int) -> int: ...
def als_rows(
    terms: list[tuple[Any, ...]],
    shared: Array,
    ridge: Array,
    prior: Array | None,
    P: Array,
    steps: int,
    info: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def slim_workspace(n: int, columns: int) -> int: ...
def slim(
    G: Array,
    l1: float,
    l2: float,
    nonnegative: bool,
    tolerance: float,
    max_sweeps: int,
    start: tuple[Array, Array, Array | None] | None,
    first: int,
    columns: int,
    starts: Array,
    counts: Array,
    violations: Array,
    total: Array,
    items: Array,
    values: Array,
    workspace: Array | None,
    stream: int,
) -> None: ...
def ranking_sums(
    top: Array,
    indptr: Array,
    indices: Array,
    cutoffs: Array,
    hits: Array,
    dcg: Array,
    precision: Array,
    reciprocal_rank: Array,
    stream: int,
) -> None: ...
