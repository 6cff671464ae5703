"""The multinomial log-likelihood of sparse rows, from scores or fused with the layer that makes them."""

from __future__ import annotations

from typing import Any

import torch

from . import _native
from ._common import check_tensor, check_vector, entry_rows, like, operator, row_sums, working_dtype
from ._csr import batch_of
from .sparse_linear import entry_products, times, transposed_times

_CHUNK = 1 << 20  # scores that are in memory at a time: 4 MB of float32


def multinomial_nll(logits: torch.Tensor, x: Any) -> torch.Tensor:
    """Negative multinomial log-likelihood of every row: sum(x) logsumexp(z) - sum(x z).

    Parameters
    ----------
    logits : torch.Tensor, (batch, items)
        Scores z of all items.
    x : sparse matrix, (batch, items)
        What is to be explained; its values are weights (1 for a plain interaction). A CSR tensor of torch, a sparse
        matrix of SciPy, `fastlae.Interactions`, or `CsrTensors`.

    Returns
    -------
    torch.Tensor, (batch,)
        Per row, neither averaged nor divided by anything; 0 for a row without items. float64 if `logits` are, else
        float32 (also under autocast).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    See Also
    --------
    linear_multinomial_nll : the same of a linear layer, without an array of scores.

    Notes
    -----
    Equivalent to ``-(torch.log_softmax(logits, 1) * x.to_dense()).sum(1)``. The gradient, sum(x) softmax(z) - x, is the
    one array of the size of `logits` that is made. The loss of Liang et al., WWW 2018.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> from fastlae.nn import functional as F
    >>> x = sp.csr_matrix([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    >>> F.multinomial_nll(torch.zeros(2, 3), x)
    tensor([2.1972, 0.0000])
    """
    check_tensor(logits, "logits", 2)
    dtype = working_dtype(logits)
    batch = batch_of(x, dtype, logits.device, logits.shape[1], logits.shape[0])
    loss, _ = nll(logits.to(dtype), batch.crow, batch.col, batch.values)
    return loss  # type: ignore[no-any-return]


def linear_multinomial_nll(z: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, x: Any) -> torch.Tensor:
    """Negative multinomial log-likelihood under the scores z W^T + b, which are never all in memory.

    Parameters
    ----------
    z : torch.Tensor, (batch, hidden)
        What the decoder is given.
    weight : torch.Tensor, (items, hidden)
        The decoder: a row per item, as in `torch.nn.Linear`.
    bias : torch.Tensor, (items,), or None
        Added to the scores.
    x : sparse matrix, (batch, items)
        As in `multinomial_nll`.

    Returns
    -------
    torch.Tensor, (batch,)
        Per row; 0 for a row without items. float64 if an argument is, else float32 (also under autocast).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``multinomial_nll(torch.nn.functional.linear(z, weight, bias), x)``. Scores are made for some items at
    a time, with a running maximum and sum of each row. What is not asked for is not computed: the gradient to z is
    made in the same pass, if z requires one, and only scaled in the backward pass; those to weight and bias, if one of
    them does, take a second pass over the items. Deterministic.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> from fastlae.nn import functional as F
    >>> x = sp.csr_matrix([[1.0, 0.0, 1.0]])
    >>> F.linear_multinomial_nll(torch.zeros(1, 2), torch.ones(3, 2), None, x)
    tensor([2.1972])
    """
    check_tensor(z, "z", 2)
    check_tensor(weight, "weight", 2)
    if z.shape[1] != weight.shape[1]:
        raise ValueError(f"z: expected {weight.shape[1]} columns, as weight has, got shape {tuple(z.shape)}")
    dtype = working_dtype(z, weight, bias)
    if bias is not None:
        bias = check_vector(bias, "bias", weight.shape[0]).to(dtype)
    batch = batch_of(x, dtype, z.device, weight.shape[0], z.shape[0])
    to_z = torch.is_grad_enabled() and z.requires_grad
    loss, _, _ = linear_nll(z.to(dtype), weight.to(dtype), bias, batch.crow, batch.col, batch.values, to_z)
    return loss  # type: ignore[no-any-return]


# On scores.


def _loss(total: torch.Tensor, lse: torch.Tensor, explained: torch.Tensor) -> torch.Tensor:
    """sum(x) lse - sum(x z), where a row whose weights sum to 0 has no part of lse."""
    return torch.where(total == 0, 0.0, total * lse) - explained


@operator(
    "multinomial_nll",
    "(Tensor logits, Tensor crow, Tensor col, Tensor values) -> (Tensor, Tensor)",
    fake=lambda logits, *_: (logits.new_empty(logits.shape[0]), logits.new_empty(logits.shape[0])),
)
def nll(
    logits: torch.Tensor, crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and logsumexp of every row."""
    if _native.is_native(logits, twin=True):
        return _native.multinomial_nll(logits, (crow, col, values))
    lse = torch.logsumexp(logits, 1)
    explained = row_sums(crow, values * logits[entry_rows(crow, col), col])
    return _loss(row_sums(crow, values), lse, explained), lse


@operator(
    "multinomial_nll_backward",
    "(Tensor grad, Tensor lse, Tensor logits, Tensor crow, Tensor col, Tensor values) -> Tensor",
    fake=lambda grad, lse, logits, *_: like(logits),
)
def nll_backward(
    grad: torch.Tensor,
    lse: torch.Tensor,
    logits: torch.Tensor,
    crow: torch.Tensor,
    col: torch.Tensor,
    values: torch.Tensor,
) -> torch.Tensor:
    """Gradient to the scores: grad (sum(x) softmax(z) - x)."""
    if _native.is_native(logits, twin=True):
        return _native.multinomial_nll_backward(grad, lse, logits, (crow, col, values))
    scale = grad * row_sums(crow, values)
    out = torch.sub(logits, lse[:, None]).exp_().mul_(scale[:, None])
    out[scale == 0] = 0  # of a row without items whatever its scores
    rows = entry_rows(crow, col)
    out[rows, col] -= grad[rows] * values
    return out


def _nll_setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(output[1], *inputs)


def _nll_backward(ctx: Any, grad: torch.Tensor, _: Any) -> Any:
    lse, logits, crow, col, values = ctx.saved_tensors
    to_logits = to_values = None
    if ctx.needs_input_grad[0]:
        to_logits = nll_backward(grad, lse, logits, crow, col, values)
    if ctx.needs_input_grad[3]:
        rows = entry_rows(crow, col)
        to_values = grad[rows] * (lse[rows] - logits[rows, col])
    return to_logits, None, None, to_values


nll.register_autograd(_nll_backward, setup_context=_nll_setup)


# Fused with the layer.


@operator(
    "linear_multinomial_nll",
    "(Tensor z, Tensor weight, Tensor? bias, Tensor crow, Tensor col, Tensor values, bool to_z)"
    " -> (Tensor, Tensor, Tensor)",
    fake=lambda z, *rest: (z.new_empty(z.shape[0]), z.new_empty(z.shape[0]), like(z, rest[-1])),
)
def linear_nll(
    z: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    crow: torch.Tensor,
    col: torch.Tensor,
    values: torch.Tensor,
    to_z: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Loss and logsumexp of every row, and if asked for sum(x) softmax(z W^T + b) W - x W, the loss' gradient to z."""
    total = row_sums(crow, values)
    lse, mean = softmax_mean(z, weight, bias, to_z)
    own = times(crow, col, values, weight)
    explained = (own * z).sum(1)
    if bias is not None:
        explained += row_sums(crow, values * bias[col])
    slope = total[:, None] * mean - own if to_z else z.new_empty((0, 0))
    return _loss(total, lse, explained), lse, slope


def softmax_mean(
    z: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, with_mean: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the scores z W^T + b: logsumexp of every row, and the mean of the rows of W under softmax."""
    if _native.is_native(z):
        return _native.softmax_mean(z, weight, bias, with_mean)
    best = z.new_full((z.shape[0],), -torch.inf)
    mass = z.new_zeros(z.shape[0])
    mean = z.new_zeros(z.shape) if with_mean else z.new_empty((0, 0))
    for part, scores in _scores(z, weight, bias):
        above = torch.maximum(best, scores.amax(1))
        shrink = torch.exp(best - above)
        scores.sub_(above[:, None]).exp_()
        mass.mul_(shrink).add_(scores.sum(1))
        if with_mean:
            mean.mul_(shrink[:, None]).addmm_(scores, weight[part])
        best = above
    return best + mass.log(), mean.div_(mass[:, None]) if with_mean else mean


def _scores(z: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """Scores of some items after the other."""
    step = max(1, _CHUNK // max(1, z.shape[0]))
    for begin in range(0, weight.shape[0], step):
        part = slice(begin, begin + step)
        scores = z @ weight[part].T
        yield part, scores if bias is None else scores.add_(bias[part])


@operator(
    "linear_multinomial_nll_backward",
    "(Tensor grad, Tensor lse, Tensor z, Tensor weight, Tensor? bias, Tensor crow, Tensor col, Tensor values,"
    " bool to_weight) -> (Tensor, Tensor)",
    fake=lambda grad, lse, z, weight, *rest: (like(weight, rest[-1]), weight.new_empty(weight.shape[0])),
)
def linear_nll_backward(
    grad: torch.Tensor,
    lse: torch.Tensor,
    z: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    crow: torch.Tensor,
    col: torch.Tensor,
    values: torch.Tensor,
    to_weight: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients to weight (empty if not asked for) and bias; the scores are made a second time."""
    if _native.is_native(z):
        return _native.linear_multinomial_nll_backward(grad, lse, z, weight, bias, (crow, col, values), to_weight)
    scale = (grad * row_sums(crow, values))[:, None]
    to_bias = weight.new_empty(weight.shape[0])
    to_w = torch.empty_like(weight) if to_weight else weight.new_empty((0, 0))
    for part, scores in _scores(z, weight, bias):
        scores.sub_(lse[:, None]).exp_().mul_(scale)
        torch.sum(scores, 0, out=to_bias[part])
        if to_weight:
            torch.mm(scores.T, z, out=to_w[part])
    if to_weight:
        to_w -= transposed_times(crow, col, values, grad[:, None] * z, weight.shape[0])
    to_bias -= transposed_times(crow, col, values, grad[:, None], weight.shape[0])[:, 0]
    return to_w, to_bias


def _linear_setup(ctx: Any, inputs: Any, output: Any) -> None:
    z, weight, bias, crow, col, values, _ = inputs
    ctx.save_for_backward(output[1], output[2], z, weight, bias, crow, col, values)


def _linear_backward(ctx: Any, grad: torch.Tensor, *_: Any) -> Any:
    lse, slope, z, weight, bias, crow, col, values = ctx.saved_tensors
    to_z, to_weight, to_bias, _, _, to_values, _ = ctx.needs_input_grad
    found_z = found_w = found_b = found_v = None
    if to_z:
        found_z = grad[:, None] * slope
    if to_weight or to_bias:
        found_w, found_b = linear_nll_backward(grad, lse, z, weight, bias, crow, col, values, to_weight)
    if to_values:
        rows = entry_rows(crow, col)
        scores = entry_products(crow, col, z, weight)
        found_v = grad[rows] * (lse[rows] - (scores if bias is None else scores + bias[col]))
    return found_z, found_w if to_weight else None, found_b if to_bias else None, None, None, found_v, None


linear_nll.register_autograd(_linear_backward, setup_context=_linear_setup)
