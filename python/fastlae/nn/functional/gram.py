"""Products with the Gram matrix of the interactions, and ImplicitSLIM, with gradients."""

from __future__ import annotations

from typing import Any

import torch

from . import _native
from ._common import check_tensor, like, operator, working_dtype
from ._csr import CsrTensors, batch_of
from .sparse_linear import times, transposed_times


def gram_product(E: torch.Tensor, X: Any, *, l2: Any = 0.0) -> torch.Tensor:
    """Y = (X^T X + l2 I) E, without the Gram matrix.

    Parameters
    ----------
    E : torch.Tensor, (items, dim)
        Embeddings of the items.
    X : sparse matrix, (users, items)
        Interactions: a CSR tensor of torch, a sparse matrix of SciPy, `fastlae.Interactions`; for many calls
        `CsrTensors` made once.
    l2 : float or torch.Tensor, a number or (items,)
        Added to the diagonal of the Gram matrix.

    Returns
    -------
    torch.Tensor, (items, dim)
        float64 if `E` is, else float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equivalent to ``X.T @ (X @ E) + l2 * E``. Gradients go to `E` (the same product) and to `l2`, not to `X`.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> from fastlae.nn import functional as F
    >>> F.gram_product(torch.eye(3), sp.csr_matrix([[1, 1, 0], [0, 1, 1]]), l2=0.5)
    tensor([[1.5000, 1.0000, 0.0000],
            [1.0000, 2.5000, 1.0000],
            [0.0000, 1.0000, 1.5000]])
    """
    E = _embeddings(E)
    return _times_gram(E, _interactions(X, E), _ridge(l2, E))


def _embeddings(E: torch.Tensor) -> torch.Tensor:
    return check_tensor(E, "E", 2).to(working_dtype(E))


def _interactions(X: Any, E: torch.Tensor) -> CsrTensors:
    batch = batch_of(X, E.dtype, E.device, E.shape[0])
    if batch.values.requires_grad:
        raise ValueError("X: gradients go to the other arguments alone; detach its values")
    return batch


def _ridge(l2: Any, E: torch.Tensor) -> torch.Tensor:
    ridge = torch.as_tensor(l2, dtype=E.dtype, device=E.device)
    if tuple(ridge.shape) not in ((), (E.shape[0],)):
        raise ValueError(f"l2: expected a number, or one per item ({E.shape[0]}), got shape {tuple(ridge.shape)}")
    return ridge.expand(E.shape[0])


def _times_gram(E: torch.Tensor, X: CsrTensors, ridge: torch.Tensor) -> torch.Tensor:
    return gram_times(E, X.crow, X.col, X.values, ridge)  # type: ignore[no-any-return]


def implicit_slim(
    E: torch.Tensor, X: Any, *, l2: Any, alpha: Any, min_count: float = 0, diagonal: Any = "approximate"
) -> torch.Tensor:
    """ImplicitSLIM of embeddings, as `fastlae.ops.implicit_slim`, differentiable in `E`, `l2` and `alpha`.

    Parameters
    ----------
    E : torch.Tensor, (items, dim)
        Embeddings of the items.
    X : sparse matrix, (users, items)
        As in `gram_product`.
    l2 : float or torch.Tensor
        Ridge of SLIM, positive.
    alpha : float or torch.Tensor
        Weight of `E`, at least 0.
    min_count : float
        Items with fewer users are left out of A.
    diagonal : {"approximate"} or torch.Tensor, (items,)
        diag((X^T X + l2 I)^-1): the approximation 1 / (diag(X^T X) + l2), or as given.

    Returns
    -------
    torch.Tensor, (items, dim)
        float64 if `E` is, else float32.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Equations (9) and (12) of Shenbin and Nikolenko, ICLR 2024, in the form of `fastlae.ops.implicit_slim`. Made of
    `gram_product` and operations of torch; the backward pass takes as many products with the Gram matrix as the forward
    pass. The system of order dim is solved in float64.

    Examples
    --------
    >>> import scipy.sparse as sp, torch
    >>> from fastlae.nn import functional as F
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> F.implicit_slim(torch.tensor([[1.0], [0.0], [-1.0]]), X, l2=1.0, alpha=1.0)
    tensor([[ 0.7347],
            [ 0.2721],
            [-0.6122]])
    """
    E = _embeddings(E)
    csr = _interactions(X, E)
    ridge = _ridge(l2, E)
    weight = torch.as_tensor(alpha, dtype=torch.float64, device=E.device)
    if weight.ndim:
        raise ValueError(f"alpha: expected a number, got shape {tuple(weight.shape)}")
    if isinstance(diagonal, str):
        if diagonal != "approximate":
            raise ValueError(f"diagonal: expected 'approximate' or a tensor, got {diagonal!r}")
        ones = csr.values.new_ones((csr.shape[0], 1))
        squares = transposed_times(csr.crow, csr.col, csr.values * csr.values, ones, csr.n_items)[:, 0]
        scale = 1.0 / (squares + ridge)
    else:
        scale = torch.as_tensor(diagonal, dtype=E.dtype, device=E.device)
        if tuple(scale.shape) != (E.shape[0],):
            raise ValueError(f"diagonal: expected {E.shape[0]} numbers, got shape {tuple(scale.shape)}")
    A = E
    if min_count > 0:
        counts = torch.zeros(E.shape[0], dtype=torch.int64, device=E.device)
        counts.scatter_add_(0, csr.col.to(torch.int64), torch.ones_like(csr.col, dtype=torch.int64))
        A = torch.where((counts >= min_count)[:, None], E, 0.0)
    # R^-1 = (G + l2 I) diag(scale)^2 (G + l2 I); F = R^-1 A, and A^T F = B^T B, semidefinite however it is rounded.
    B = scale[:, None] * _times_gram(A, csr, ridge)
    F = _times_gram(scale[:, None] * B, csr, ridge)
    S = (B.T @ B).to(torch.float64)
    system = torch.eye(E.shape[1], dtype=torch.float64, device=E.device) + weight * S
    K = weight * torch.linalg.solve(system, (A.T @ E).to(torch.float64))
    return F @ K.to(E.dtype)  # type: ignore[no-any-return]


# (X^T X + diag(ridge)) E.


@operator(
    "gram_product",
    "(Tensor E, Tensor crow, Tensor col, Tensor values, Tensor ridge) -> Tensor",
    fake=lambda E, *_: like(E),
)
def gram_times(
    E: torch.Tensor, crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor, ridge: torch.Tensor
) -> torch.Tensor:
    """(X^T X + diag(ridge)) E."""
    if _native.is_native(E):
        return _native.gram_product(E, (crow, col, values), ridge)
    out = transposed_times(crow, col, values, times(crow, col, values, E), E.shape[0])
    return out.addcmul_(ridge[:, None], E)


def _gram_setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _gram_backward(ctx: Any, grad: torch.Tensor) -> Any:
    E, crow, col, values, ridge = ctx.saved_tensors
    to_E, _, _, _, to_ridge = ctx.needs_input_grad
    return (
        gram_times(grad, crow, col, values, ridge) if to_E else None,
        None,
        None,
        None,
        (grad * E).sum(1) if to_ridge else None,
    )


gram_times.register_autograd(_gram_backward, setup_context=_gram_setup)
