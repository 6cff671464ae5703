"""Swish and layer norm in one, with connections past the layer."""

from __future__ import annotations

from typing import Any

import torch

from . import _native
from ._common import check_tensor, check_vector, like, operator, working_dtype


def swish_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    eps: float = 1e-5,
    layer_bias: torch.Tensor | None = None,
    residual: torch.Tensor | None = None,
    with_total: bool = False,
) -> Any:
    """Layer norm of swish(x + layer_bias + residual): a layer's activation in RecVAE's encoder, row by row.

    Parameters
    ----------
    x : torch.Tensor, (batch, hidden)
        What the layer's matrix product gives.
    weight, bias : torch.Tensor, (hidden,)
        Of the layer norm.
    eps : float
        Added to the variance, positive.
    layer_bias : torch.Tensor, (hidden,), optional
        Of the layer whose product gives `x`; added here, it costs nothing, and nothing for its gradient.
    residual : torch.Tensor, (batch, hidden), optional
        The sum of the layers before.
    with_total : bool
        Give the sum with this layer too, for the next one.

    Returns
    -------
    torch.Tensor, (batch, hidden), or two of them
        h, or h and residual + h. float64 if an argument is, else float32 (also under autocast).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``layer_norm(silu(x + layer_bias + residual), (hidden,), weight, bias, eps)``, and ``residual + h``.
    Gradients go to all tensors; what lies between is made a second time for them. Deterministic.

    Examples
    --------
    >>> import torch
    >>> from fastlae.nn import functional as F
    >>> F.swish_norm(torch.tensor([[-1.0, 0.0, 1.0]]), torch.ones(3), torch.zeros(3))
    tensor([[-1.0010, -0.3646,  1.3656]])
    """
    check_tensor(x, "x", 2)
    hidden = x.shape[1]
    if hidden == 0:
        raise ValueError("x: expected at least one column")
    check_vector(weight, "weight", hidden)
    check_vector(bias, "bias", hidden)
    if layer_bias is not None:
        check_vector(layer_bias, "layer_bias", hidden)
    if not isinstance(eps, (int, float)) or not eps > 0:
        raise ValueError(f"eps: expected a positive number, got {eps!r}")
    if residual is None:
        if with_total:
            raise ValueError("with_total: expected a residual, without which the sum is the result")
    elif check_tensor(residual, "residual").shape != x.shape:
        raise ValueError(f"residual: expected shape {tuple(x.shape)}, as x has, got {tuple(residual.shape)}")
    dtype = working_dtype(x, weight, bias, layer_bias, residual)
    added, past = (None if t is None else t.to(dtype) for t in (layer_bias, residual))
    found = activation(x.to(dtype), added, past, weight.to(dtype), bias.to(dtype), float(eps), bool(with_total))
    return found[:2] if with_total else found[0]


@operator(
    "swish_norm",
    "(Tensor x, Tensor? layer_bias, Tensor? residual, Tensor weight, Tensor bias, float eps, bool with_total)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    fake=lambda x, layer_bias, residual, weight, bias, eps, with_total: (
        like(x),
        like(x, with_total),
        x.new_empty(x.shape[0]),
        x.new_empty(x.shape[0]),
    ),
)
def activation(
    x: torch.Tensor,
    layer_bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    with_total: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The activation, its sum with the residual (empty if not asked for), and every row's mean and 1 / deviation."""
    if _native.is_native(x, twin=True):
        return _native.swish_norm(x, layer_bias, residual, weight, bias, eps, with_total)
    s = torch.nn.functional.silu(_before(x, layer_bias, residual))
    h, mean, scale = torch.native_layer_norm(s, (x.shape[1],), weight, bias, eps)
    return h, residual + h if residual is not None and with_total else x.new_empty((0, 0)), mean[:, 0], scale[:, 0]


def _before(x: torch.Tensor, layer_bias: torch.Tensor | None, residual: torch.Tensor | None) -> torch.Tensor:
    """What swish is taken of."""
    t = x if layer_bias is None else x + layer_bias
    return t if residual is None else t + residual


@operator(
    "swish_norm_backward",
    "(Tensor grad, Tensor? grad_total, Tensor x, Tensor? layer_bias, Tensor? residual, Tensor weight, Tensor mean,"
    " Tensor scale) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    fake=lambda grad, grad_total, x, layer_bias, residual, weight, mean, scale: (
        like(x),
        like(x, grad_total is not None),
        like(weight),
        like(weight),
        like(weight, layer_bias is not None),
    ),
)
def activation_backward(
    grad: torch.Tensor,
    grad_total: torch.Tensor | None,
    x: torch.Tensor,
    layer_bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Gradients to x, to the residual (empty without `grad_total`: the same as to x), to weight and both biases."""
    if _native.is_native(x, twin=True):
        return _native.swish_norm_backward(grad, grad_total, x, layer_bias, residual, weight, mean, scale)
    t = _before(x, layer_bias, residual)
    share = torch.sigmoid(t)
    s = t * share
    normal = (s - mean[:, None]) * scale[:, None]
    given = grad if grad_total is None else grad + grad_total
    g = given * weight
    change = g - g.mean(1, keepdim=True) - normal * (g * normal).mean(1, keepdim=True)
    to_x = change * scale[:, None] * (share + s * (1 - share))
    to_residual = x.new_empty((0, 0)) if grad_total is None else to_x + grad_total
    to_layer_bias = weight.new_empty(0) if layer_bias is None else to_x.sum(0)
    return to_x, to_residual, (given * normal).sum(0), given.sum(0), to_layer_bias


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    x, layer_bias, residual, weight, _bias, _eps, ctx.with_total = inputs
    ctx.save_for_backward(x, layer_bias, residual, weight, output[2], output[3])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: torch.Tensor | None, grad_total: torch.Tensor | None, *_: Any) -> Any:
    x, layer_bias, residual, *rest = ctx.saved_tensors
    if grad is None:
        grad = torch.zeros_like(x)
    total = grad_total if ctx.with_total else None
    found = activation_backward(grad, total, x, layer_bias, residual, *rest)
    to_x, to_residual, to_weight, to_bias, to_layer_bias = found
    if total is None:  # x and residual are the same to it
        to_residual = to_x
    past = None if residual is None else to_residual
    return to_x, None if layer_bias is None else to_layer_bias, past, to_weight, to_bias, None, None


activation.register_autograd(_backward, setup_context=_setup)
