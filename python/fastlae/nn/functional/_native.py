"""From tensors to the kernels, without copies; outputs are allocated here."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..._backend import core_for, cuda
from ..._threads import resolve_threads
from ...errors import CudaError

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # crow, col, values


def is_native(tensor: torch.Tensor, *, twin: bool = False) -> bool:
    """Whether a kernel is there for a tensor: on the CPU, and for those that have a twin on CUDA devices."""
    return not on_device(tensor) or (twin and device_module() is not None)


def on_device(tensor: torch.Tensor) -> bool:
    """Whether the tensor lies elsewhere than in host memory."""
    return tensor.device.type != "cpu"


@functools.cache
def device_module() -> Any:
    """The compiled module for CUDA devices, or None where it was not built."""
    try:
        return cuda()
    except CudaError:
        return None


def handle(tensor: torch.Tensor) -> Any:
    """A tensor on a device, as its module takes it (by DLPack)."""
    return tensor.detach().contiguous()


def _optional_handle(tensor: torch.Tensor | None) -> Any:
    return None if tensor is None else handle(tensor)


def stream(tensor: torch.Tensor) -> int:
    """The stream that work on the tensor is queued on."""
    return int(torch.cuda.current_stream(tensor.device).cuda_stream)


def _on_device(x: Sparse) -> tuple[Any, Any, Any]:
    crow, col, values = x
    return handle(crow.to(torch.int64)), handle(col.to(torch.int32)), handle(values)


def threads() -> int:
    """What torch would use, and at most what the process may."""
    return min(torch.get_num_threads(), resolve_threads(0))


def array(tensor: torch.Tensor) -> NDArray[Any]:
    """The tensor's memory as an array whose rows are contiguous; a copy where they are not."""
    found: NDArray[Any] = tensor.detach().contiguous().numpy()
    return found


def _optional(tensor: torch.Tensor | None) -> NDArray[Any] | None:
    return None if tensor is None else array(tensor)


def _csr(x: Sparse) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    crow, col, values = x
    return array(crow.to(torch.int64)), array(col.to(torch.int32)), array(values)


def empty(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """An uninitialised tensor in memory of NumPy's, which asks for large pages: they come in a fraction of the time."""
    return torch.from_numpy(np.empty(shape, str(like.dtype).removeprefix("torch.")))


def sparse_linear(x: Sparse, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """X W + b."""
    if on_device(weight):
        there = weight.new_empty((x[0].shape[0] - 1, weight.shape[1]))
        device_module().score(*_on_device(x), handle(weight), handle(there), stream(weight))
        return there if bias is None else there.add_(bias)
    out = empty((x[0].shape[0] - 1, weight.shape[1]), weight)
    core_for().sparse_linear(*_csr(x), array(weight), _optional(bias), out.numpy(), threads())
    return out


def sparse_linear_backward(x: Sparse, grad: torch.Tensor, n_items: int) -> torch.Tensor:
    """X^T grad."""
    out = empty((n_items, grad.shape[1]), grad)
    core_for().sparse_linear_backward(*_csr(x), array(grad), out.numpy(), threads())
    return out


def multinomial_nll(logits: torch.Tensor, x: Sparse) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and logsumexp of every row."""
    loss, lse = logits.new_empty(logits.shape[0]), logits.new_empty(logits.shape[0])
    if on_device(logits):
        found = handle(loss), handle(lse)
        device_module().multinomial_nll(handle(logits), *_on_device(x), *found, stream(logits))
        return loss, lse
    core_for().multinomial_nll(array(logits), *_csr(x), loss.numpy(), lse.numpy(), threads())
    return loss, lse


def multinomial_nll_backward(grad: torch.Tensor, lse: torch.Tensor, logits: torch.Tensor, x: Sparse) -> torch.Tensor:
    """Gradient to the scores."""
    if on_device(logits):
        there = torch.empty_like(logits, memory_format=torch.contiguous_format)
        given = handle(grad), handle(lse), handle(logits)
        device_module().multinomial_nll_backward(*given, *_on_device(x), handle(there), stream(logits))
        return there
    out = empty(tuple(logits.shape), logits)
    core_for().multinomial_nll_backward(array(grad), array(lse), array(logits), *_csr(x), out.numpy(), threads())
    return out


def softmax_mean(
    z: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, with_mean: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the scores z W^T + b: logsumexp of every row, and if asked for the mean of W's rows under the softmax."""
    lse = z.new_empty(z.shape[0])
    mean = empty(tuple(z.shape), z) if with_mean else z.new_empty((0, 0))
    target = mean.numpy() if with_mean else None
    core_for().softmax_mean(array(z), array(weight), _optional(bias), lse.numpy(), target, threads())
    return lse, mean


def linear_multinomial_nll_backward(
    grad: torch.Tensor,
    lse: torch.Tensor,
    z: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    x: Sparse,
    to_weight: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients to weight (if asked for) and bias."""
    to_w = empty(tuple(weight.shape), weight) if to_weight else weight.new_empty((0, 0))
    to_b = weight.new_empty(weight.shape[0])
    core_for().linear_multinomial_nll_backward(
        array(grad),
        array(lse),
        array(z),
        array(weight),
        _optional(bias),
        *_csr(x),
        to_w.numpy() if to_weight else None,
        to_b.numpy(),
        threads(),
    )
    return to_w, to_b


def gram_product(E: torch.Tensor, x: Sparse, ridge: torch.Tensor) -> torch.Tensor:
    """(X^T X + diag(ridge)) E."""
    out = empty(tuple(E.shape), E)
    core_for().gram_product(*_csr(x), array(E), array(ridge), out.numpy(), threads())
    return out


def product(a: torch.Tensor, b: torch.Tensor, transpose_a: bool = False, transpose_b: bool = False) -> torch.Tensor:
    """op(A) op(B), the same for any number of threads."""
    out = empty((a.shape[1 if transpose_a else 0], b.shape[0 if transpose_b else 1]), a)
    core_for().product(array(a), array(b), out.numpy(), threads(), transpose_a, transpose_b)
    return out


def swish_norm(
    x: torch.Tensor,
    layer_bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    with_total: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The activation, if asked for its sum with the residual, and mean and scale of every row."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    total = torch.empty_like(y) if with_total else y.new_empty((0, 0))
    mean, scale = x.new_empty(x.shape[0]), x.new_empty(x.shape[0])
    if on_device(x):
        given = handle(x), _optional_handle(layer_bias), _optional_handle(residual), handle(weight), handle(bias), eps
        found = handle(y), handle(total) if with_total else None, handle(mean), handle(scale)
        device_module().swish_norm(*given, *found, stream(x))
        return y, total, mean, scale
    core_for().swish_norm(
        array(x),
        _optional(layer_bias),
        _optional(residual),
        array(weight),
        array(bias),
        eps,
        y.numpy(),
        total.numpy() if with_total else None,
        mean.numpy(),
        scale.numpy(),
        threads(),
    )
    return y, total, mean, scale


def swish_norm_backward(
    grad: torch.Tensor,
    grad_total: torch.Tensor | None,
    x: torch.Tensor,
    layer_bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Gradients to x, to the residual (the same without `grad_total`, and empty then), to weight and both biases."""
    to_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    to_residual = x.new_empty((0, 0)) if grad_total is None else torch.empty_like(to_x)
    to_weight, to_bias = torch.empty_like(weight), torch.empty_like(weight)
    to_layer_bias = weight.new_empty(0) if layer_bias is None else torch.empty_like(weight)
    if on_device(x):
        device_module().swish_norm_backward(
            handle(grad),
            _optional_handle(grad_total),
            handle(x),
            _optional_handle(layer_bias),
            _optional_handle(residual),
            handle(weight),
            handle(mean),
            handle(scale),
            handle(to_x),
            None if grad_total is None else handle(to_residual),
            handle(to_weight),
            handle(to_bias),
            None if layer_bias is None else handle(to_layer_bias),
            stream(x),
        )
        return to_x, to_residual, to_weight, to_bias, to_layer_bias
    core_for().swish_norm_backward(
        array(grad),
        _optional(grad_total),
        array(x),
        _optional(layer_bias),
        _optional(residual),
        array(weight),
        array(mean),
        array(scale),
        to_x.numpy(),
        None if grad_total is None else to_residual.numpy(),
        to_weight.numpy(),
        to_bias.numpy(),
        None if layer_bias is None else to_layer_bias.numpy(),
        threads(),
    )
    return to_x, to_residual, to_weight, to_bias, to_layer_bias


def composite_prior(
    z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor, options: tuple[list[float], float, bool]
) -> torch.Tensor:
    """Log-density of every row."""
    out = z.new_empty(z.shape[0])
    if on_device(z):
        device_module().composite_prior(handle(z), handle(mu), handle(logvar), *options, handle(out), stream(z))
        return out
    core_for().composite_prior(array(z), array(mu), array(logvar), *options, out.numpy(), threads())
    return out


def composite_prior_backward(
    grad: torch.Tensor,
    z: torch.Tensor,
    mu: torch.Tensor,
    logvar: torch.Tensor,
    options: tuple[list[float], float, bool],
    to_old: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients to z and, if asked for (else empty), to mu and logvar."""
    out = [torch.empty_like(z, memory_format=torch.contiguous_format)]
    out += [torch.empty_like(out[0]) if to_old else z.new_empty((0, 0)) for _ in range(2)]
    if on_device(z):
        given_there = handle(grad), handle(z), handle(mu), handle(logvar)
        there = [handle(out[0]), *(handle(part) if to_old else None for part in out[1:])]
        device_module().composite_prior_backward(*given_there, *options, *there, stream(z))
        return out[0], out[1], out[2]
    targets = [out[0].numpy(), *(part.numpy() if to_old else None for part in out[1:])]
    given = array(grad), array(z), array(mu), array(logvar)
    core_for().composite_prior_backward(*given, *options, *targets, threads())
    return out[0], out[1], out[2]
