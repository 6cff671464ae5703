"""Inverses with gradients, and the item-item weights of the diagonal family as functions of their hyperparameters."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import NotPositiveDefiniteError
from ...ops.spd_inverse import spd_inverse as _spd_inverse
from . import _native
from ._common import check_tensor, like, operator, working_dtype


def spd_inverse(a: torch.Tensor) -> torch.Tensor:
    """Inverse of a symmetric positive definite matrix.

    Parameters
    ----------
    a : torch.Tensor, (n, n)
        Symmetric; of it the lower triangle is read.

    Returns
    -------
    torch.Tensor, (n, n)
        float64 if `a` is, else float32.

    Raises
    ------
    NotPositiveDefiniteError
        With the row at which the factorisation fails.
    ValueError, TypeError
        If `a` is not square, not symmetric or not floating.

    Notes
    -----
    Equivalent to ``torch.linalg.inv(a)``, computed by `fastlae.ops.spd_inverse`. The gradient is -C grad C, of entries
    taken as independent.

    Examples
    --------
    >>> import torch
    >>> from fastlae.nn import functional as F
    >>> F.spd_inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    _check_square(a, "a")
    a = a.to(working_dtype(a))
    return ridge_inverse(a, a.new_zeros(a.shape[0]))  # type: ignore[no-any-return]


def ease_weights(G: torch.Tensor, *, l2: Any) -> torch.Tensor:
    """Weights of EASE, I - C diag(1 / c): `edlae_weights` without dropout."""
    return edlae_weights(G, l2=l2, dropout=0.0)


def lae_weights(G: torch.Tensor, *, l2: Any) -> torch.Tensor:
    """Weights of LAE, I - C diag(l2): `dlae_weights` without dropout."""
    return dlae_weights(G, l2=l2, dropout=0.0)


def dlae_weights(G: torch.Tensor, *, l2: Any, dropout: Any) -> torch.Tensor:
    """Weights of DLAE, I - C diag(Lambda), C = (G + Lambda)^-1, Lambda = p/(1 - p) diag(G) + l2.

    Parameters and gradients are those of `deql_weights`.
    """
    return _family(G, l2, dropout, "dlae")


def edlae_weights(G: torch.Tensor, *, l2: Any, dropout: Any) -> torch.Tensor:
    """Weights of EDLAE, I - C diag(1 / c), c = diag C, C = (G + Lambda)^-1, Lambda = p/(1 - p) diag(G) + l2.

    Parameters and gradients are those of `deql_weights`.
    """
    return _family(G, l2, dropout, "edlae")


def deql_weights(
    G: torch.Tensor, *, l2: Any, dropout: Any, a: Any = 1.0, b: Any = 0.25, zero_diagonal: bool = False
) -> torch.Tensor:
    """Weights of DEQL as a differentiable function of the Gram matrix and of every hyperparameter.

    Parameters
    ----------
    G : torch.Tensor, (items, items)
        Gram matrix X^T X, symmetric.
    l2 : float or torch.Tensor, a number or (items,)
        Strength of the L2 penalty: one for all items, or one for the weights of each input item. With a dropout per
        item it must be the number 0.
    dropout : float or torch.Tensor, a number or (items,)
        p in [0, 1): one for all items, or one each.
    a, b : float or torch.Tensor
        Weights of dropped and of kept entries; the loss has their squares.
    zero_diagonal : bool
        Subject to diag W = 0.

    Returns
    -------
    torch.Tensor, (items, items)
        W[i, j] carries input item i to target item j. float64 if `G` is, else float32.

    Raises
    ------
    NotPositiveDefiniteError
        If G + Lambda is not positive definite.
    ValueError, TypeError
        Naming the argument.

    See Also
    --------
    fastlae.ops.deql_weights : from an inverse, on arrays.

    Notes
    -----
    One inverse C = (G + Lambda)^-1, then W = diag(r)(diag(alpha) + C diag(beta)); alpha, beta and r take O(n), in
    float64. The gradient to a diagonal, -diag(C grad C), needs the one product C grad: minus the row sums of
    (C grad) o C. The second product is made only if `G` requires a gradient (entries taken as independent).

    Examples
    --------
    >>> import torch
    >>> from fastlae.nn import functional as F
    >>> G = torch.tensor([[4.0, 2.0], [2.0, 3.0]])
    >>> l2 = torch.tensor(1.0, requires_grad=True)
    >>> W = F.deql_weights(G, l2=l2, dropout=0.5, b=0.5)
    >>> W.sum().backward()
    >>> round(l2.grad.item(), 4)
    -0.6161
    """
    return _family(G, l2, dropout, "zero" if zero_diagonal else "deql", a, b)


def _family(G: torch.Tensor, l2: Any, dropout: Any, model: str, a: Any = 1.0, b: Any = 1.0) -> torch.Tensor:
    _check_square(G, "G")
    n = G.shape[0]
    G = G.to(working_dtype(G))
    no_l2 = not isinstance(l2, torch.Tensor) and l2 == 0
    l2, p = _hyperparameter(l2, "l2", G), _hyperparameter(dropout, "dropout", G)
    a, b = _hyperparameter(a, "a", G), _hyperparameter(b, "b", G)
    for name, value, shapes in (("l2", l2, ((), (n,))), ("dropout", p, ((), (n,))), ("a", a, ((),)), ("b", b, ((),))):
        if tuple(value.shape) not in shapes:
            raise ValueError(f"{name}: expected shape {' or '.join(map(str, shapes))}, got {tuple(value.shape)}")
    q, d = 1.0 - p, G.diagonal().to(torch.float64)
    if model in ("dlae", "edlae"):
        ridge = p / q * d + l2
    elif no_l2:
        ridge = p / q * d
    elif p.ndim:
        raise ValueError("l2: must be the number 0 with a dropout per item")
    else:
        m = p * a * a + q * b * b
        ridge = p / q * d + l2 / (q * q * m)
    C = ridge_inverse(G, ridge.expand(n).to(G.dtype))
    c = C.diagonal().to(torch.float64)
    if model == "dlae":
        alpha, beta, scale = torch.ones_like(d), -ridge.expand(n), None
    elif model == "edlae":
        alpha, beta, scale = torch.ones_like(d), -1.0 / c, None
    elif model == "zero":
        alpha, beta, scale = torch.ones_like(d), -1.0 / c, 1.0 / q
    else:
        alpha, beta, scale = _deql_diagonals(c, d, ridge, l2, p, a, b, no_l2)
    W = C * beta.to(C.dtype)
    diagonal = alpha + c * beta  # in float64: it is a difference
    if scale is not None:
        scale = scale.expand(n)
        W, diagonal = W * scale.to(C.dtype)[:, None], diagonal * scale
    return torch.diagonal_scatter(W, diagonal.to(C.dtype))


def _deql_diagonals(
    c: torch.Tensor,
    d: torch.Tensor,
    ridge: torch.Tensor,
    l2: torch.Tensor,
    p: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    no_l2: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `fastlae.ops.weights.deql_diagonals`, where it is derived; l2 may be per item (it is in row i of system i)."""
    q, h = 1.0 - p, d + ridge
    m = p * a * a + q * b * b
    if no_l2:
        rest = b * b - m
        alpha = (m - rest * c * d) / (m + rest * (1.0 - c * h))
        return alpha, d - alpha * h, 1.0 / q
    g, s, e = q * q * m, q * q * b * b, q * b * b * d
    one = (s, (s - g) * c, q * m)
    two = (e + l2, s + (e + l2 - s * h) * c, e)
    determinant = one[0] * two[1] - one[1] * two[0]
    alpha = (one[2] * two[1] - one[1] * two[2]) / determinant
    beta = (one[0] * two[2] - two[0] * one[2]) / determinant
    return alpha, beta, torch.ones_like(d)


def _hyperparameter(value: Any, name: str, like: torch.Tensor) -> torch.Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float64, device=like.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected a number or a tensor, got {value!r}") from error


def _check_square(matrix: Any, name: str) -> None:
    check_tensor(matrix, name, 2)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {tuple(matrix.shape)}")


# C = (G + diag(ridge))^-1.


@operator(
    "ridge_inverse",
    "(Tensor gram, Tensor ridge) -> Tensor",
    fake=lambda gram, ridge: like(gram),
)
def ridge_inverse(gram: torch.Tensor, ridge: torch.Tensor) -> torch.Tensor:
    """(G + diag(ridge))^-1."""
    a = gram.clone(memory_format=torch.contiguous_format)
    a.diagonal().add_(ridge)
    if _native.is_native(a):
        return torch.from_numpy(_spd_inverse(a.numpy(), overwrite_a=True, num_threads=_native.threads()))
    factor, info = torch.linalg.cholesky_ex(a)
    if int(info):  # waits for the device
        raise NotPositiveDefiniteError.at(int(info) - 1)
    return torch.cholesky_inverse(factor).contiguous()


@operator(
    "ridge_inverse_backward",
    "(Tensor grad, Tensor inverse, bool to_gram) -> (Tensor, Tensor)",
    fake=lambda grad, inverse, to_gram: (like(inverse, to_gram), inverse.new_empty(inverse.shape[0])),
)
def ridge_inverse_backward(
    grad: torch.Tensor, inverse: torch.Tensor, to_gram: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """-C grad C (empty if not asked for), and its diagonal."""
    product = _native.product if _native.is_native(grad) else torch.mm
    half = product(inverse, grad)
    if to_gram:
        whole = product(half, inverse).neg_()
        return whole, whole.diagonal().clone()
    return grad.new_empty((0, 0)), -(half * inverse).sum(1)


def _inverse_setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(output)


def _inverse_backward(ctx: Any, grad: torch.Tensor) -> Any:
    (inverse,) = ctx.saved_tensors
    to_gram, to_ridge = ctx.needs_input_grad
    found = ridge_inverse_backward(grad, inverse, to_gram)
    return found[0] if to_gram else None, found[1] if to_ridge else None


ridge_inverse.register_autograd(_inverse_backward, setup_context=_inverse_setup)
