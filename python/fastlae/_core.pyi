from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def isa() -> str: ...
def column_counts(indices: Array, out: Array) -> None: ...
def use_openmp(wanted: bool) -> bool: ...
def csr_state(indptr: Array, indices: Array, values: Array, cols: int) -> int: ...
def odd_numbers(text: bytes, separator: str) -> bool: ...
def set_progress(callback: Callable[[float], None] | None) -> None: ...
def als_rows(
    terms: list[tuple[Any, ...]],
    shared: Array,
    ridge: Array,
    prior: Array | None,
    P: Array,
    steps: int,
    num_threads: int,
) -> None: ...
def gram(
    indptr: Array,
    indices: Array,
    values: Array | None,
    weights: Array | None,
    out: Array,
    num_threads: int,
    tile: int | None = None,
    items: int | None = None,
) -> None: ...
def gram_product(
    indptr: Array,
    indices: Array,
    values: Array | None,
    E: Array,
    l2: Array | None,
    out: Array,
    num_threads: int,
) -> None: ...
def nearest_neighbours(
    queries: tuple[Array, Array, Array | None],
    X: tuple[Array, Array, Array | None],
    rows: Array,
    columns: Array,
    product: bool,
    overlap: float,
    shrink: float,
    same: bool,
    ordered: bool,
    neighbours: Array,
    similarities: Array,
    num_threads: int,
) -> None: ...
def union_graph(neighbours: Array, similarities: Array, num_threads: int) -> tuple[Array, Array, Array]: ...
def spd_inverse(a: Array, n: int, tile: int, num_threads: int) -> None: ...
def inverse_tile(n: int) -> int: ...
def symmetric_columns(a: Array, n: int, tile: int, columns: Array, out: Array, num_threads: int) -> None: ...
def asymmetry(a: Array, num_threads: int) -> float: ...
def diagonal_weights(
    C: Array, alpha: Array, beta: Array, row_scale: Array | None, out: Array, num_threads: int
) -> None: ...
def miller_update(H0_inv: Array, V: Array, E1: Array, E2: Array, out: Array, work: Array, num_threads: int) -> None: ...
def product(
    a: Array, b: Array, out: Array, num_threads: int, transpose_a: bool = False, transpose_b: bool = False
) -> None: ...
def encode_integers(pieces: list[Array], most: int, codes: Array, num_threads: int) -> Array | None: ...
def sort_into_rows(
    users: Array,
    items: Array,
    n_items: int,
    indptr: Array,
    indices: Array,
    carried: list[tuple[Array, Array]],
    num_threads: int,
) -> int: ...
def transposed_product(a: Array, b: Array, out: Array, num_threads: int) -> None: ...
def score(indptr: Array, indices: Array, values: Array | None, W: Array, out: Array, num_threads: int) -> None: ...
def quadratic_diagonal(
    indptr: Array, indices: Array, values: Array | None, M: Array, n: int, tile: int, out: Array, num_threads: int
) -> None: ...
def topk(
    scores: Array,
    scale: Array | None,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    num_threads: int,
) -> None: ...
def topk_scaled(
    scores: Array, scales: Array, seen: tuple[Array, Array] | None, items: Array, k: int, num_threads: int
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
    num_threads: int,
) -> None: ...
def recommend_sparse(
    indptr: Array,
    indices: Array,
    values: Array | None,
    W: tuple[Array, Array, Array],
    n: int,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    num_threads: int,
) -> None: ...
def recommend_factors(
    P: Array,
    E: Array,
    bias: Array | None,
    seen: tuple[Array, Array] | None,
    columns: Array | None,
    items: Array,
    out: Array,
    num_threads: int,
) -> None: ...
def score_factors(P: Array, E: Array, bias: Array | None, out: Array, num_threads: int) -> None: ...
def slim(
    G: Array,
    l1: float,
    l2: float,
    nonnegative: bool,
    tolerance: float,
    max_sweeps: int,
    start: tuple[Array, Array, Array] | None,
    violations: Array,
    num_threads: int,
) -> tuple[Array, Array, Array]: ...
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
def sparse_linear(
    indptr: Array,
    indices: Array,
    values: Array | None,
    weight: Array,
    bias: Array | None,
    out: Array,
    num_threads: int,
) -> None: ...
def sparse_linear_backward(
    indptr: Array, indices: Array, values: Array | None, grad: Array, out: Array, num_threads: int
) -> None: ...
def multinomial_nll(
    logits: Array,
    indptr: Array,
    indices: Array,
    values: Array | None,
    loss: Array,
    lse: Array,
    num_threads: int,
) -> None: ...
def multinomial_nll_backward(
    grad: Array,
    lse: Array,
    logits: Array,
    indptr: Array,
    indices: Array,
    values: Array | None,
    out: Array,
    num_threads: int,
) -> None: ...
def swish_norm(
    x: Array,
    layer_bias: Array | None,
    residual: Array | None,
    weight: Array,
    bias: Array,
    eps: float,
    out: Array,
    out_total: Array | None,
    out_mean: Array,
    out_scale: Array,
    num_threads: int,
) -> None: ...
def swish_norm_backward(
    grad: Array,
    grad_total: Array | None,
    x: Array,
    layer_bias: Array | None,
    residual: Array | None,
    weight: Array,
    mean: Array,
    scale: Array,
    out_x: Array,
    out_residual: Array | None,
    out_weight: Array,
    out_bias: Array,
    out_layer_bias: Array | None,
    num_threads: int,
) -> None: ...
def composite_prior(
    z: Array,
    mu: Array,
    logvar: Array,
    log_weights: Sequence[float],
    wide_logvar: float,
    per_coordinate: bool,
    out: Array,
    num_threads: int,
) -> None: ...
def composite_prior_backward(
    grad: Array,
    z: Array,
    mu: Array,
    logvar: Array,
    log_weights: Sequence[float],
    wide_logvar: float,
    per_coordinate: bool,
    out_z: Array,
    out_mu: Array | None,
    out_logvar: Array | None,
    num_threads: int,
) -> None: ...
def softmax_mean(
    z: Array, weight: Array, bias: Array | None, lse: Array, mean: Array | None, num_threads: int
) -> None: ...
def linear_multinomial_nll_backward(
    grad: Array,
    lse: Array,
    z: Array,
    weight: Array,
    bias: Array | None,
    indptr: Array,
    indices: Array,
    values: Array | None,
    out_weight: Array | None,
    out_bias: Array,
    num_threads: int,
) -> None: ...
def split_rows(
    indptr: Array,
    indices: Array,
    values: Array | None,
    cols: int,
    keys: Array,
    taken_indptr: Array,
    kept_indices: Array,
    kept_values: Array | None,
    taken_indices: Array,
    taken_values: Array | None,
    num_threads: int,
) -> None: ...
