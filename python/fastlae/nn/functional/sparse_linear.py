"""A linear layer on sparse rows."""

from __future__ import annotations

from typing import Any

import torch

from . import _native
from ._common import check_tensor, check_vector, entry_rows, like, operator, row_sums, working_dtype
from ._csr import batch_of

_LEAST_NORM = 1e-10  # of a row, as the authors of Mult-VAE and RecVAE have it: an empty row stays empty


def sparse_linear(
    x: Any,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    normalize: bool = False,
    dropout: float = 0.0,
    mask: torch.Tensor | None = None,
    seed: int | None = None,
) -> torch.Tensor:
    """A linear layer on sparse rows, x W + b: a weighted sum of the few rows of W whose items are there.

    Parameters
    ----------
    x : sparse matrix, (batch, items)
        A CSR tensor of torch, a sparse matrix of SciPy, `fastlae.Interactions`, or `CsrTensors`.
    weight : torch.Tensor, (items, hidden)
        A row per item: the transpose of the weight of `torch.nn.Linear`.
    bias : torch.Tensor, (hidden,), optional
        Added to every row.
    normalize : bool
        Divide every row of `x` by its Euclidean norm, or by 1e-10 where that is larger.
    dropout : float
        Probability in [0, 1) with which an entry is left out, after normalisation; what stays is multiplied by
        1 / (1 - dropout). 0 in evaluation.
    mask : torch.Tensor, (nnz,), optional
        Boolean: which entries stay, in the order of `x`. By default drawn, from torch's generator.
    seed : int, optional
        Draws the mask from this number alone: the same entries on every device and for any number of threads.

    Returns
    -------
    torch.Tensor, (batch, hidden)
        float64 if an argument is, else float32 (also under autocast). A row without items is `bias`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``x.to_dense() @ weight + bias``. Gradients go to weight, bias, and to the values of `x` where those
    ask for one; that of the weight is zero in the rows of absent items. Deterministic.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> from fastlae.nn import functional as F
    >>> x = sp.csr_matrix([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    >>> F.sparse_linear(x, torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([0.5, 0.0]))
    tensor([[11.5000, 14.0000],
            [ 0.5000,  0.0000]])
    """
    check_tensor(weight, "weight", 2)
    dtype = working_dtype(weight, bias)
    if bias is not None:
        bias = check_vector(bias, "bias", weight.shape[1]).to(dtype)
    batch = batch_of(x, dtype, weight.device, weight.shape[0])
    values = batch.values
    if not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected a probability in [0, 1), got {dropout!r}")
    if mask is not None and seed is not None:
        raise ValueError("mask, seed: at most one of them")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != values.shape):
        raise ValueError(f"mask: expected {len(values)} booleans, got {mask.dtype} of shape {tuple(mask.shape)}")
    if normalize or dropout > 0:
        if dropout > 0 and mask is None and seed is None:
            mask = torch.rand(values.shape, device=values.device) >= dropout
        values = input_values(batch.crow, values, normalize, float(dropout), mask if dropout > 0 else None, seed or 0)
    return sparse_product(batch.crow, batch.col, values, weight.to(dtype), bias)  # type: ignore[no-any-return]


# What stands in the rows: v_e <- m_e v_e / ((1 - p) max(|v|, eps)).


@operator(
    "input_values",
    "(Tensor crow, Tensor values, bool normalize, float dropout, Tensor? mask, SymInt seed) -> Tensor",
    fake=lambda crow, values, *_: like(values),
)
def input_values(
    crow: torch.Tensor, values: torch.Tensor, normalize: bool, dropout: float, mask: torch.Tensor | None, seed: int
) -> torch.Tensor:
    """Normalisation and noise of the values of sparse rows."""
    return values * _factors(crow, values, normalize, dropout, mask, seed)


def _norms(crow: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    norms = row_sums(crow, values * values).sqrt().clamp_min(_LEAST_NORM)
    return norms[entry_rows(crow, values)]


def _factors(
    crow: torch.Tensor, values: torch.Tensor, normalize: bool, dropout: float, mask: torch.Tensor | None, seed: int
) -> torch.Tensor:
    factors = 1.0 / _norms(crow, values) if normalize else torch.ones_like(values)
    if dropout > 0:
        kept = _kept(len(values), dropout, seed, values.device) if mask is None else mask
        factors = torch.where(kept, factors / (1.0 - dropout), 0.0)
    return factors


def _kept(count: int, dropout: float, seed: int, device: torch.device) -> torch.Tensor:
    """Which entries stay: a hash of seed and place (splitmix64), whose upper 32 bits are a number in [0, 1)."""

    def wrapped(number: int) -> int:  # as a signed 64-bit number
        return (number + 2**63) % 2**64 - 2**63

    golden = 0x9E3779B97F4A7C15
    state = torch.arange(1, count + 1, device=device) * wrapped(golden) + wrapped(seed * 0xD1342543DE82EF95 + golden)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ ((state >> shift) & (2 ** (64 - shift) - 1))) * wrapped(factor)
    state = state ^ ((state >> 31) & (2**33 - 1))
    return ((state >> 32) & (2**32 - 1)) >= round(dropout * 2**32)


@operator(
    "input_values_backward",
    "(Tensor grad, Tensor crow, Tensor values, bool normalize, float dropout, Tensor? mask, SymInt seed) -> Tensor",
    fake=lambda grad, *_: like(grad),
)
def input_values_backward(
    grad: torch.Tensor,
    crow: torch.Tensor,
    values: torch.Tensor,
    normalize: bool,
    dropout: float,
    mask: torch.Tensor | None,
    seed: int,
) -> torch.Tensor:
    """With t = m grad / ((1 - p) |v|): t - v (t . v) / |v|^2, where the norm is not the least one."""
    grad = grad * _factors(crow, values, normalize, dropout, mask, seed)
    if not normalize:
        return grad
    norms = _norms(crow, values)
    along = row_sums(crow, grad * values)[entry_rows(crow, values)]
    return grad - torch.where(norms > _LEAST_NORM, values * along / (norms * norms), 0.0)


def _input_setup(ctx: Any, inputs: Any, output: Any) -> None:
    crow, values, ctx.normalize, ctx.dropout, mask, ctx.seed = inputs
    ctx.save_for_backward(crow, values, mask)


def _input_backward(ctx: Any, grad: torch.Tensor) -> Any:
    crow, values, mask = ctx.saved_tensors
    found = input_values_backward(grad, crow, values, ctx.normalize, ctx.dropout, mask, ctx.seed)
    return None, found, None, None, None, None


input_values.register_autograd(_input_backward, setup_context=_input_setup)


# Y = X W + b.


@operator(
    "sparse_linear",
    "(Tensor crow, Tensor col, Tensor values, Tensor weight, Tensor? bias) -> Tensor",
    fake=lambda crow, col, values, weight, bias: weight.new_empty((crow.shape[0] - 1, weight.shape[1])),
)
def sparse_product(
    crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """X W + b."""
    if _native.is_native(weight, twin=True):
        return _native.sparse_linear((crow, col, values), weight, bias)
    out = times(crow, col, values, weight)
    return out if bias is None else out.add_(bias)


@operator(
    "sparse_linear_backward",
    "(Tensor grad, Tensor crow, Tensor col, Tensor values, Tensor weight, bool to_values, bool to_weight)"
    " -> (Tensor, Tensor)",
    fake=lambda grad, crow, col, values, weight, to_values, to_weight: (
        like(values, to_values),
        like(weight, to_weight),
    ),
)
def sparse_product_backward(
    grad: torch.Tensor,
    crow: torch.Tensor,
    col: torch.Tensor,
    values: torch.Tensor,
    weight: torch.Tensor,
    to_values: bool,
    to_weight: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients to the values, W[col] . grad[row], and to the weight, X^T grad; empty where not asked for."""
    to_v = entry_products(crow, col, grad, weight) if to_values else values.new_empty(0)
    to_w = transposed_times(crow, col, values, grad, weight.shape[0]) if to_weight else weight.new_empty((0, 0))
    return to_v, to_w


def _product_setup(ctx: Any, inputs: Any, output: Any) -> None:
    crow, col, values, weight, _bias = inputs
    ctx.save_for_backward(crow, col, values, weight)


def _product_backward(ctx: Any, grad: torch.Tensor) -> Any:
    _, _, to_values, to_weight, to_bias = ctx.needs_input_grad
    found = (None, None)
    if to_values or to_weight:
        found = sparse_product_backward(grad, *ctx.saved_tensors, to_values, to_weight)
    return (
        None,
        None,
        found[0] if to_values else None,
        found[1] if to_weight else None,
        grad.sum(0) if to_bias else None,
    )


sparse_product.register_autograd(_product_backward, setup_context=_product_setup)


# The three products of a sparse matrix, on dense tensors of one device and dtype.


def times(crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """X W."""
    if _native.is_native(weight, twin=True):
        return _native.sparse_linear((crow, col, values), weight, None)
    return torch.nn.functional.embedding_bag(
        col.to(torch.int64), weight, crow, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def transposed_times(
    crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor, dense: torch.Tensor, n_items: int
) -> torch.Tensor:
    """X^T D, item by item in the order of the rows."""
    if _native.is_native(dense):
        return _native.sparse_linear_backward((crow, col, values), dense, n_items)
    columns, order = torch.sort(col, stable=True)
    pointers = torch.searchsorted(columns, torch.arange(n_items + 1, dtype=col.dtype, device=col.device))
    return times(pointers, entry_rows(crow, col)[order], values[order], dense)


def entry_products(crow: torch.Tensor, col: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Left[row] . right[col] for every entry, by pieces of some megabytes."""
    rows, found = entry_rows(crow, col), []
    step = max(1, (1 << 20) // max(1, left.shape[1]))
    for begin in range(0, len(col), step):
        piece = slice(begin, begin + step)
        found.append((left[rows[piece]] * right[col[piece]]).sum(1))
    return torch.cat(found) if found else left.new_empty(0)
