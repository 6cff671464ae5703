"""A linear layer on dense rows."""

from __future__ import annotations

from typing import Any

import torch

from . import _native
from ._common import check_tensor, like, operator, working_dtype


def linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """X W^T, as `torch.nn.functional.linear` without a bias, with the same result for any number of threads.

    Parameters
    ----------
    x : torch.Tensor, (batch, columns)
        Dense rows.
    weight : torch.Tensor, (rows, columns)
        As `torch.nn.Linear` has it.

    Returns
    -------
    torch.Tensor, (batch, rows)
        float64 if an argument is, else float32. Under autocast and on devices it is torch's own function.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    A block of W is packed once for all threads, and sums have one order: networks made of it train to the same bits
    whatever the number of threads, which torch's products on the CPU do not promise.

    Examples
    --------
    >>> import torch
    >>> from fastlae.nn import functional as F
    >>> F.linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    tensor([[ 1., 11.]])
    """
    check_tensor(x, "x", 2)
    check_tensor(weight, "weight", 2)
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"weight: expected {x.shape[1]} columns, as x has, got shape {tuple(weight.shape)}")
    if torch.is_autocast_enabled(x.device.type) or not _native.is_native(x):
        return torch.nn.functional.linear(x, weight)
    dtype = working_dtype(x, weight)
    return product(x.to(dtype), weight.to(dtype))  # type: ignore[no-any-return]


@operator(
    "linear",
    "(Tensor x, Tensor weight) -> Tensor",
    fake=lambda x, weight: x.new_empty((x.shape[0], weight.shape[0])),
)
def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """X W^T."""
    return _native.product(x, weight, transpose_b=True) if _native.is_native(x) else x @ weight.T


@operator(
    "linear_backward",
    "(Tensor grad, Tensor x, Tensor weight, bool to_x, bool to_weight) -> (Tensor, Tensor)",
    fake=lambda grad, x, weight, to_x, to_weight: (like(x, to_x), like(weight, to_weight)),
)
def product_backward(
    grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, to_x: bool, to_weight: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients grad W and grad^T X; empty where not asked for."""
    none = x.new_empty((0, 0))
    if not _native.is_native(x):
        return grad @ weight if to_x else none, grad.T @ x if to_weight else none.clone()
    return (
        _native.product(grad, weight) if to_x else none,
        _native.product(grad, x, transpose_a=True) if to_weight else none.clone(),
    )


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: torch.Tensor) -> Any:
    to_x, to_weight = ctx.needs_input_grad
    found = product_backward(grad, *ctx.saved_tensors, to_x, to_weight)
    return found[0] if to_x else None, found[1] if to_weight else None


product.register_autograd(_backward, setup_context=_setup)
