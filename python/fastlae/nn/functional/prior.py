"""The composite prior of RecVAE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from . import _native
from ._common import check_tensor, like, operator, working_dtype

_LOG_2PI = math.log(2 * math.pi)


def composite_prior_logpdf(
    z: torch.Tensor,
    mu_old: torch.Tensor,
    logvar_old: torch.Tensor,
    *,
    weights: Sequence[float] = (0.15, 0.75, 0.1),
    wide_logvar: float = 10.0,
    per_coordinate: bool = True,
) -> torch.Tensor:
    """Log density of RecVAE's prior: a mixture of N(0, 1), the old posterior N(mu, e^logvar), and a wide N(0, e^10).

    Parameters
    ----------
    z : torch.Tensor, (batch, dim)
        Where the density is asked for.
    mu_old, logvar_old : torch.Tensor, (batch, dim)
        Mean and log variance of the old posterior, a row for each user.
    weights : sequence of three floats
        Of the three parts in this order: non-negative, with sum 1.
    wide_logvar : float
        Log variance of the third part.
    per_coordinate : bool
        Mix the densities of each coordinate, and multiply the mixtures, as the authors' code does; False mixes the
        joint densities, as equation (17) is printed.

    Returns
    -------
    torch.Tensor, (batch,)
        float64 if an argument is, else float32 (also under autocast).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equation (17) of Shenbin et al., "RecVAE: a new variational autoencoder for top-N recommendations with implicit
    feedback", WSDM 2020. Per coordinate: sum_d logsumexp_c(log w_c + log N(z_d; mu_cd, var_cd)). Gradients go to all
    three tensors.

    Examples
    --------
    >>> import torch
    >>> from fastlae.nn import functional as F
    >>> zero = torch.zeros(1, 2)
    >>> F.composite_prior_logpdf(zero, zero, zero, weights=(0.5, 0.5, 0.0))
    tensor([-1.8379])
    """
    for name, tensor in (("z", z), ("mu_old", mu_old), ("logvar_old", logvar_old)):
        check_tensor(tensor, name, 2)
        if tensor.shape != z.shape:
            raise ValueError(f"{name}: expected shape {tuple(z.shape)}, as z has, got {tuple(tensor.shape)}")
    if len(weights) != 3 or not all(part >= 0 for part in weights) or abs(sum(weights) - 1) > 1e-6:
        raise ValueError(f"weights: expected three non-negative numbers with sum 1, got {weights!r}")
    log_weights = [math.log(part) if part > 0 else -math.inf for part in weights]
    dtype = working_dtype(z, mu_old, logvar_old)
    z, mu_old, logvar_old = z.to(dtype), mu_old.to(dtype), logvar_old.to(dtype)
    density: torch.Tensor = logpdf(z, mu_old, logvar_old, log_weights, float(wide_logvar), per_coordinate)
    return density


def _parts(
    z: torch.Tensor,
    mu_old: torch.Tensor,
    logvar_old: torch.Tensor,
    log_weights: list[float],
    wide_logvar: float,
    per_coordinate: bool,
) -> torch.Tensor:
    """Log of each part's weighted density, (3, batch, dim or 1)."""
    deviation = z - mu_old
    square = z * z
    logs = torch.stack(
        (
            -0.5 * (_LOG_2PI + square),
            -0.5 * (_LOG_2PI + logvar_old + deviation * deviation * torch.exp(-logvar_old)),
            -0.5 * (_LOG_2PI + wide_logvar + square * math.exp(-wide_logvar)),
        )
    )
    if not per_coordinate:
        logs = logs.sum(2, keepdim=True)
    return logs.add_(logs.new_tensor(log_weights)[:, None, None])


@operator(
    "composite_prior_logpdf",
    "(Tensor z, Tensor mu_old, Tensor logvar_old, float[] log_weights, float wide_logvar, bool per_coordinate)"
    " -> Tensor",
    fake=lambda z, *_: z.new_empty(z.shape[0]),
)
def logpdf(
    z: torch.Tensor,
    mu_old: torch.Tensor,
    logvar_old: torch.Tensor,
    log_weights: list[float],
    wide_logvar: float,
    per_coordinate: bool,
) -> torch.Tensor:
    """Log density of every row."""
    if _native.is_native(z, twin=True):
        return _native.composite_prior(z, mu_old, logvar_old, (list(log_weights), wide_logvar, per_coordinate))
    parts = _parts(z, mu_old, logvar_old, log_weights, wide_logvar, per_coordinate)
    return torch.logsumexp(parts, 0).sum(1)


@operator(
    "composite_prior_logpdf_backward",
    "(Tensor grad, Tensor z, Tensor mu_old, Tensor logvar_old, float[] log_weights, float wide_logvar,"
    " bool per_coordinate, bool to_old) -> (Tensor, Tensor, Tensor)",
    fake=lambda grad, z, *rest: (like(z), like(z, rest[-1]), like(z, rest[-1])),
)
def logpdf_backward(
    grad: torch.Tensor,
    z: torch.Tensor,
    mu_old: torch.Tensor,
    logvar_old: torch.Tensor,
    log_weights: list[float],
    wide_logvar: float,
    per_coordinate: bool,
    to_old: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients to z and, if asked for (else empty), to the old mean and log variance."""
    if _native.is_native(z, twin=True):
        options = list(log_weights), wide_logvar, per_coordinate
        return _native.composite_prior_backward(grad, z, mu_old, logvar_old, options, to_old)
    # The share of each part, times the derivative of its own logarithm.
    share = torch.softmax(_parts(z, mu_old, logvar_old, log_weights, wide_logvar, per_coordinate), 0) * grad[:, None]
    precision = torch.exp(-logvar_old)
    slope = (z - mu_old) * precision
    old = share[1] * slope
    to_z = -z * (share[0] + share[2] * math.exp(-wide_logvar)) - old
    if not to_old:
        return to_z, z.new_empty((0, 0)), z.new_empty((0, 0))
    return to_z, old, 0.5 * share[1] * (slope * (z - mu_old) - 1.0)


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    z, mu_old, logvar_old, ctx.log_weights, ctx.wide_logvar, ctx.per_coordinate = inputs
    ctx.save_for_backward(z, mu_old, logvar_old)


def _backward(ctx: Any, grad: torch.Tensor) -> Any:
    to_z, to_mu, to_logvar = ctx.needs_input_grad[:3]
    options = (list(ctx.log_weights), ctx.wide_logvar, ctx.per_coordinate, to_mu or to_logvar)
    found = logpdf_backward(grad, *ctx.saved_tensors, *options)
    return (
        found[0] if to_z else None,
        found[1] if to_mu else None,
        found[2] if to_logvar else None,
        None,
        None,
        None,
    )


logpdf.register_autograd(_backward, setup_context=_setup)
