"""ImplicitSLIM: what one step of SLIM and locally linear embedding makes of given embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from .gram import gram
from .gram_product import check_embeddings, check_items, gram_product_checked
from .score import product
from .spd_inverse import spd_inverse
from .weights import check_dropout, check_number

Vector = NDArray[np.float64]
Parts = tuple[Vector, Vector, NDArray[np.bool_] | None]
_BASES = ("ease", "dlae", "edlae")


def implicit_slim(
    E: NDArray[Any],
    X: Any,
    *,
    l2: float,
    alpha: float,
    min_count: float = 0,
    diagonal: Any = "approximate",
    base: str = "ease",
    dropout: float = 0.0,
    num_threads: int = 0,
) -> NDArray[Any]:
    """Embeddings V that fit both `E` and the item-item weights of SLIM, which are never computed.

    SLIM's closed form gives B = I - P D, P = (X^T X + l2 I)^-1, D = diag(P)^-1. V minimises what V loses when every
    item is put together from the others by B, plus `alpha` times its distance from the similarities of `E`.

    Parameters
    ----------
    E : ndarray or CUDA array, (items, dim)
        Embeddings of the items, such as ``torch.nn.Embedding`` holds: float32 or float64, finite, rows contiguous. For
        embeddings of users, pass ``X.T``.
    X : sparse matrix, (users, items)
        Interactions.
    l2 : float
        Ridge of SLIM, positive.
    alpha : float
        Weight of `E`, at least 0.
    min_count : float
        Items with fewer users are left out of A (their rows are zero there); they get embeddings all the same.
    diagonal : {"approximate", "exact"} or ndarray, (items,)
        diag(P): the approximation 1 / (users of the item + l2), as in the paper; or from the inverse, which takes
        memory and time as `spd_inverse` does; or as given, so that it is computed once for many calls.
    base : {"ease", "dlae", "edlae"}
        Which linear autoencoder gives B: with "edlae" the ridge is l2 + dropout / (1 - dropout) times the diagonal of
        X^T X; with "dlae" B = I - P Lambda with that ridge Lambda, and `diagonal` plays no part.
    dropout : float
        Of "dlae" and "edlae", in [0, 1).
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Returns
    -------
    ndarray or CUDA array, (items, dim)
        Of the dtype of `E`, where that is.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected; also where `min_count` leaves out every item.
    MemoryNeededError
        Before anything is computed, if it does not fit.

    See Also
    --------
    slim_lle : the same without embeddings to begin with.

    Notes
    -----
    Equations (9) and (12) of Shenbin and Nikolenko, "ImplicitSLIM and how it improves embedding-based collaborative
    filtering", ICLR 2024. Equivalent to ``alpha * inv(R + alpha * A @ A.T) @ A @ A.T @ E`` with
    ``R = P @ diag(D) ** 2 @ P``. Computed, with F = R^-1 A from two `gram_product`, as

        V = alpha F (I + alpha A^T F)^-1 A^T E,

    which is their result with one solve of order dim, and without the differences of large numbers of equations (13)
    and (14). Time and memory grow linearly with the interactions and with dim (beside dim^2 and dim^3 terms).

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> E = np.array([[1.0], [0.0], [-1.0]])
    >>> fastlae.ops.implicit_slim(E, X, l2=1.0, alpha=1.0).round(3)
    array([[ 0.735],
           [ 0.272],
           [-0.612]])
    """
    threads = resolve_threads(num_threads)
    weight = check_number(alpha, "alpha", 0)

    def parts(csr: Csr, dtype: Any = np.float32) -> Parts:
        counts = csr.item_counts()
        ridge, scale = slim_scales(
            csr,
            l2=l2,
            diagonal=diagonal,
            base=base,
            dropout=dropout,
            dtype=dtype,
            num_threads=threads,
            counts=counts,
        )
        return ridge, scale, frequent_items(counts, min_count)

    if on_cuda(E, X):
        from . import device

        found: NDArray[Any] = device.implicit_slim(E, X, weight, parts)
        return found
    check_embeddings(E, "E")
    csr = as_csr(X, dtype=E.dtype)
    check_items(E, csr)
    ridge, scale, kept = parts(csr, E.dtype)
    _memory.require(5 * E.nbytes, f"embeddings of shape {E.shape}", "Fewer columns need less.")
    return implicit_slim_checked(E, csr, ridge, scale, weight, kept, threads)


def implicit_slim_checked(
    E: NDArray[Any],
    X: Csr,
    ridge: Vector,
    scale: Vector,
    alpha: float,
    kept: NDArray[np.bool_] | None,
    num_threads: int,
) -> NDArray[Any]:
    """`implicit_slim` after its checks, with what depends on X alone as `slim_scales` and `frequent_items` give it."""
    A = E if kept is None else np.where(kept[:, None], E, E.dtype.type(0))
    # B = diag(scale) (G + Lambda) A, so that F = (G + Lambda) diag(scale) B, and A^T F = B^T B, which is semidefinite
    # however it is rounded.
    B = gram_product_checked(A, X, ridge, None, num_threads)
    B *= scale.astype(E.dtype)[:, None]
    S = transposed_product(B, B, num_threads)
    B *= scale.astype(E.dtype)[:, None]
    F = gram_product_checked(B, X, ridge, None, num_threads)
    del B
    K = alpha * solve_semidefinite(S, alpha, transposed_product(A, E, num_threads))
    return product(F, np.ascontiguousarray(K, dtype=E.dtype), num_threads)


def transposed_product(a: NDArray[Any], b: NDArray[Any], num_threads: int) -> NDArray[Any]:
    """a^T b of tall matrices, the same for any number of threads; on a device if they are there."""
    if on_cuda(a, b):
        from . import device

        there: NDArray[Any] = device.product(a, b, transpose_a=True)
        return there
    out = np.empty((a.shape[1], b.shape[1]), a.dtype)
    core_for(a, b).transposed_product(a, b, out, num_threads)
    return out


def solve_semidefinite(S: NDArray[Any], alpha: float, right: NDArray[Any]) -> Vector:
    """(I + alpha S)^-1 right in float64, S symmetric and semidefinite up to rounding."""
    M = alpha * S.astype(np.float64)
    M += M.T
    M /= 2
    M[np.diag_indices_from(M)] += 1.0
    try:
        factor = scipy.linalg.cho_factor(M, check_finite=False)
        return np.asarray(scipy.linalg.cho_solve(factor, right.astype(np.float64), check_finite=False))
    except np.linalg.LinAlgError:  # rounding made an eigenvalue of S negative: take it for the zero that it stands for
        values, vectors = np.linalg.eigh(M)
        return np.asarray(vectors @ ((vectors.T @ right.astype(np.float64)) / np.maximum(values, 1.0)[:, None]))


def slim_scales(
    X: Csr,
    *,
    l2: float,
    diagonal: Any,
    base: str,
    dropout: float,
    dtype: Any,
    num_threads: int,
    counts: Vector | None = None,
) -> tuple[Vector, Vector]:
    """Lambda, and the s with R^-1 = (G + Lambda) diag(s)^2 (G + Lambda)."""
    n = X.shape[1]
    if check_number(l2, "l2", 0) == 0:
        raise ValueError(f"l2: expected a positive number, got {l2!r}")
    if base not in _BASES:
        raise ValueError(f"base: expected one of {', '.join(map(repr, _BASES))}, got {base!r}")
    p = check_dropout(dropout)
    if p.ndim:
        raise ValueError(f"dropout: expected one number, got shape {p.shape}")
    if base == "ease" and p != 0:
        raise ValueError(f"dropout: base='ease' has none, got {dropout!r}; 'edlae' and 'dlae' do")
    if X.values is None:
        d = X.item_counts() if counts is None else counts
    else:
        squares = X.values.astype(np.float64) ** 2
        d = np.bincount(X.indices, weights=squares, minlength=n).astype(np.float64, copy=False)
    ridge = float(p / (1 - p)) * d + float(l2)
    if isinstance(diagonal, str) and diagonal == "approximate":
        inverse_diagonal = 1.0 / (d + ridge)
    elif isinstance(diagonal, str) and diagonal == "exact":
        if base == "dlae":
            inverse_diagonal = np.ones(n)
        else:
            G = gram(X, dtype=dtype, num_threads=num_threads)
            G[np.diag_indices_from(G)] += ridge.astype(G.dtype)
            inverse_diagonal = spd_inverse(G, overwrite_a=True, num_threads=num_threads).diagonal().astype(np.float64)
    elif isinstance(diagonal, str):
        raise ValueError(f"diagonal: expected 'approximate', 'exact' or {n} numbers, got {diagonal!r}")
    else:
        inverse_diagonal = np.asarray(diagonal, dtype=np.float64)
        if inverse_diagonal.shape != (n,):
            raise ValueError(f"diagonal: expected 'approximate', 'exact' or {n} numbers, got {inverse_diagonal.shape}")
        if not (np.isfinite(inverse_diagonal).all() and (inverse_diagonal > 0).all()):
            raise ValueError("diagonal: expected finite, positive numbers")
    return ridge, (1.0 / ridge if base == "dlae" else inverse_diagonal)


def frequent_items(counts: Vector, min_count: float) -> NDArray[np.bool_] | None:
    """Which items have at least `min_count` users; None if all have."""
    kept = counts >= check_number(min_count, "min_count", 0)
    if kept.all():
        return None
    if not kept.any():
        raise ValueError(f"min_count: no item has {min_count!r} users; the most that one has is {counts.max():.0f}")
    return np.asarray(kept)
