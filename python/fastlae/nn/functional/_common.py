"""What the operators have in common."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import torch

from ..._backend import openmp_threads


def check_tensor(tensor: Any, name: str, ndim: int | None = None) -> torch.Tensor:
    """Refuse what is no strided tensor of floating-point numbers."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or not tensor.is_floating_point():
        got = f"{tensor.dtype}, {tensor.layout}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise TypeError(f"{name}: expected a dense tensor of floating-point numbers, got {got}")
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimension(s), got shape {tuple(tensor.shape)}")
    return tensor


def check_vector(tensor: Any, name: str, size: int) -> torch.Tensor:
    """Refuse what is no vector of `size` floating-point numbers."""
    check_tensor(tensor, name)
    if tuple(tensor.shape) != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {tuple(tensor.shape)}")
    return tensor  # type: ignore[no-any-return]


def working_dtype(*tensors: torch.Tensor | None) -> torch.dtype:
    """float64 if any of the tensors is, else float32: half precision (autocast) is widened."""
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32


def exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator's body: it computes in the dtype that it is given, whatever autocast would, on torch's threads."""

    @functools.wraps(function)
    def body(*args: Any, **kwargs: Any) -> Any:
        device = next(a.device for a in args if isinstance(a, torch.Tensor))
        there = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
        with torch.autocast(device.type, enabled=False), openmp_threads(), there:
            return function(*args, **kwargs)

    return body


def operator(name: str, schema: str, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Registers an operator ``fastlae::name`` with its body; `fake` makes tensors of the result's shapes."""

    def register(function: Callable[..., Any]) -> Any:
        found = torch.library.custom_op(f"fastlae::{name}", exact(function), mutates_args=(), schema=schema)
        found.register_fake(fake)
        return found

    return register


def like(tensor: torch.Tensor, asked: bool = True) -> torch.Tensor:
    """An uninitialised tensor of this shape, or an empty one where it is not asked for."""
    return tensor.new_empty(tensor.shape if asked else (0,) * tensor.ndim)


def entry_rows(crow: torch.Tensor, col: torch.Tensor) -> torch.Tensor:
    """The row of every entry."""
    rows = torch.arange(crow.shape[0] - 1, device=crow.device)
    return torch.repeat_interleave(rows, crow[1:] - crow[:-1], output_size=col.shape[0])


def row_sums(crow: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sums over the entries of each row, in their order."""
    return torch.segment_reduce(values, "sum", offsets=crow, initial=0.0, unsafe=True)
