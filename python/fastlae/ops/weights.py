"""From a regularised inverse to item-item weights: the diagonal family, and the general Miller update.

Every full-rank linear autoencoder has the form ``W = diag(r) (diag(alpha) + C diag(beta))``, where Lambda is diagonal
and ``C = (G + Lambda)^-1``. What the models differ in is Lambda (`ridge`) and the vectors alpha, beta and r.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._threads import resolve_threads
from .spd_inverse import SYMMETRY

Vector = NDArray[np.float64]


class Diagonals(NamedTuple):
    """alpha, beta and r of ``W = diag(r) (diag(alpha) + C diag(beta))``, float64 (n,); r None: all 1."""

    alpha: Vector
    beta: Vector
    row_scale: Vector | None = None


def deql_scale(dropout: float, a: float, b: float) -> float:
    """The weight of the off-diagonal of G in DEQL's Hessian, g = q^2 (p a^2 + q b^2)."""
    q = 1.0 - dropout
    return q * q * (dropout * a * a + q * b * b)


def deql_ridge(d: Vector, *, l2: float, dropout: Any, a: float, b: float) -> Vector:
    """Lambda of DEQL: (p/q) d + l2/g."""
    p = np.asarray(dropout, dtype=np.float64)
    ridge = p / (1.0 - p) * d
    return ridge if l2 == 0 else ridge + l2 / deql_scale(float(p), a, b)


def deql_diagonals(
    c: Vector, d: Vector, ridge: Vector, *, l2: float, dropout: Any, a: float, b: float, zero_diagonal: bool
) -> Diagonals:
    """Alpha and beta of DEQL from c = diag(C), d = diag(G) and Lambda: one 2 x 2 system per item.

    H_i + l2 I is g (G + Lambda) but for row and column i, so column i of W lies in the span of e_i and C_i; the rows
    k != i and the row i of the normal equations give its two coefficients. With a dropout per item (and l2 = 0) the
    system is solved by hand.
    """
    p = np.asarray(dropout, dtype=np.float64)
    q = 1.0 - p
    if zero_diagonal or (b == 0 and l2 == 0):  # without b and l2 the diagonal is free, and zero is taken (Theorem 3.4)
        if p.ndim:
            return Diagonals(np.ones_like(d), -1.0 / c, 1.0 / q)
        return Diagonals(np.full_like(d, 1.0 / q), -1.0 / (q * c))
    h = d + ridge
    if p.ndim:
        m = p * a * a + q * b * b
        rest = b * b - m
        alpha = (m - rest * c * d) / (m + rest * (1.0 - c * h))
        return Diagonals(alpha, d - alpha * h, 1.0 / q)
    g, s = deql_scale(float(p), a, b), q * q * b * b
    row1 = (s, (s - g) * c, g / q)
    if l2 == 0:  # the second equation divided by b^2; e - s h vanishes then, and need not be computed
        row2 = (q * d, np.full_like(d, q * q), q * d)
    else:
        e = q * b * b * d
        row2 = (e + l2, s + (e + l2 - s * h) * c, e)
    determinant = row1[0] * row2[1] - row1[1] * row2[0]
    alpha = (row1[2] * row2[1] - row1[1] * row2[2]) / determinant
    beta = (row1[0] * row2[2] - row2[0] * row1[2]) / determinant
    return Diagonals(alpha, beta)


def deql_weights(
    C: NDArray[Any],
    d: Any,
    *,
    l2: float,
    dropout: float,
    a: float = 1.0,
    b: float = 0.25,
    zero_diagonal: bool = False,
    out: NDArray[Any] | None = None,
    num_threads: int = 0,
) -> NDArray[Any]:
    """Weights of DEQL from one inverse: the minimiser of eq. (5) + l2 ||W||^2, column by column in closed form, O(n^2).

    Parameters
    ----------
    C : ndarray, (n, n)
        (G + Lambda)^-1 with Lambda = p/q d + l2/g, where q = 1 - p and g = q^2 (p a^2 + q b^2); float32 or float64.
    d : array_like, (n,)
        Diagonal of G.
    l2, dropout, a, b, zero_diagonal
        As in `fastlae.DEQL`.
    out : ndarray, (n, n), optional
        Written instead of a new array; may be `C`.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (n, n)
        W[i, j] carries input item i to target item j.

    Raises
    ------
    ValueError, TypeError
        Naming the argument.

    Notes
    -----
    Equivalent to solving, for every item i, the system ``(H_i + l2 I) x = v_i`` of the paper; `miller_update` is the
    paper's own way.

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> G = np.array([[4.0, 2.0], [2.0, 3.0]])
    >>> d = np.diag(G)
    >>> C = np.linalg.inv(G + np.diag(d))  # dropout 0.5: p/q = 1
    >>> fastlae.ops.deql_weights(C, d, l2=0, dropout=0.5, zero_diagonal=True).round(4)
    array([[0.    , 0.5   ],
           [0.6667, 0.    ]])
    """
    if on_cuda(C, out):
        from . import device

        c: Vector = device.symmetric(C, "C")
    else:
        C = _symmetric(C, "C", num_threads)
        c = C.diagonal().astype(np.float64)
    d = check_numbers(d, "d")
    if d.shape != (len(C),) or (d < 0).any():
        raise ValueError(f"d: expected non-negative numbers of shape ({len(C)},), got shape {d.shape}")
    if (c <= 0).any():
        raise ValueError("C: expected a positive definite matrix, got one whose diagonal is not positive")
    check_deql(l2=l2, dropout=dropout, a=a, b=b)
    if np.ndim(dropout) and np.shape(dropout) != d.shape:
        raise ValueError(f"dropout: expected a number, or one per item ({len(C)}), got shape {np.shape(dropout)}")
    ridge = deql_ridge(d, l2=l2, dropout=dropout, a=a, b=b)
    diagonals = deql_diagonals(c, d, ridge, l2=l2, dropout=dropout, a=a, b=b, zero_diagonal=zero_diagonal)
    return diagonal_weights(C, diagonals, out=out, num_threads=num_threads)


def diagonal_weights(
    C: NDArray[Any], diagonals: Diagonals, *, out: NDArray[Any] | None = None, num_threads: int = 0
) -> NDArray[Any]:
    """W = diag(r) (diag(alpha) + C diag(beta)), in place if `out` is `C`."""
    if on_cuda(C, out):
        from . import device

        weights: NDArray[Any] = device.diagonal_weights(C, diagonals, out=out)
        return weights
    if out is None:
        _memory.require(C.nbytes, f"a weight matrix of order {len(C)}", "out=C writes over the inverse.")
        out = np.empty_like(C, order="C")
    elif not isinstance(out, np.ndarray) or out.dtype != C.dtype or out.shape != C.shape:
        raise ValueError(f"out: expected a NumPy array of {C.dtype} and shape {C.shape}")
    vectors = [None if v is None else np.ascontiguousarray(v, dtype=np.float64) for v in diagonals]
    core_for(C, out).diagonal_weights(C, *vectors, out, resolve_threads(num_threads))
    return out


def miller_update(
    H0_inv: NDArray[Any], V: NDArray[Any], E1: NDArray[Any], E2: NDArray[Any], *, num_threads: int = 0
) -> NDArray[Any]:
    """Solve, for every item i, H0 with its own rank-two change: DEQL paper, Theorem 4.1, (20) to (23).

    Column i of the result solves ``(H0 + e1_i e_i^T + e_i e2_i^T) x = v_i``, where e_i is the i-th unit vector and
    e1_i, e2_i, v_i are columns i of `E1`, `E2` and `V`; the diagonal of `E2` is left out (`E1` carries it).

    Parameters
    ----------
    H0_inv, V, E1, E2 : ndarray, (n, n)
        One dtype, float32 or float64; `H0_inv` symmetric.
    num_threads : int
        0 means all that the process may use.

    Returns
    -------
    ndarray, (n, n)

    Notes
    -----
    Two products of order n, O(n^3), and O(n^2) besides. For DEQL itself `deql_weights` gives the same in O(n^2).

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> H0, V, zero = np.diag([2.0, 4.0]), np.eye(2), np.zeros((2, 2))
    >>> fastlae.ops.miller_update(np.linalg.inv(H0), V, np.diag([2.0, 0.0]), zero)
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """
    if on_cuda(H0_inv, V, E1, E2):
        from . import device

        updated: NDArray[Any] = device.miller_update(H0_inv, V, E1, E2)
        return updated
    H0_inv = _symmetric(H0_inv, "H0_inv", num_threads)
    arrays = [H0_inv]
    for name, array in (("V", V), ("E1", E1), ("E2", E2)):
        checked = _square(array, name)
        if checked.dtype != H0_inv.dtype or checked.shape != H0_inv.shape:
            raise ValueError(
                f"{name}: expected {H0_inv.dtype} of shape {H0_inv.shape}, got {checked.dtype} of shape {checked.shape}"
            )
        arrays.append(checked)
    _memory.require(2 * H0_inv.nbytes, f"the updates of order {len(H0_inv)}", "deql_weights needs no further memory.")
    out, work = np.empty_like(H0_inv, order="C"), np.empty_like(H0_inv, order="C")
    core_for(H0_inv).miller_update(*arrays, out, work, resolve_threads(num_threads))
    bad = ~np.isfinite(out).all(axis=0)
    if bad.any():
        raise ValueError(
            f"V, E1, E2: expected finite numbers and changes that leave H0 regular; item {int(np.argmax(bad))} has no "
            "finite solution"
        )
    return out


def check_numbers(values: Any, name: str) -> Vector:
    """`values`, a number or an array, as float64 if they are finite real numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers, got {values!r}")
    result = np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)
    if not np.isfinite(result).all():
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    return result


def check_number(value: Any, name: str, least: float = -np.inf) -> float:
    """`value` as one finite real number of at least `least`."""
    number = check_numbers(value, name)
    if number.ndim or number < least:
        bound = "" if least == -np.inf else f", at least {least:g}"
        raise ValueError(f"{name}: expected one finite number{bound}, got {value!r}")
    return float(number)


def check_deql(*, l2: Any, dropout: Any, a: float, b: float) -> None:
    """Refuse hyperparameters for which DEQL's objective has no minimiser."""
    p = check_dropout(dropout)
    for name, value in (("l2", l2), ("a", a), ("b", b)):
        check_number(value, name, 0)
    if p.ndim and l2 != 0:
        raise ValueError(f"l2: must be 0 with a dropout per item, got {l2!r}")
    if ((p * a * a + (1 - p) * b * b) == 0).any():
        raise ValueError(f"a={a!r}, b={b!r}, dropout={dropout!r} give every entry the weight 0: nothing to minimise")


def check_dropout(dropout: Any) -> Vector:
    """`dropout` as float64, a number or a vector, inside [0, 1)."""
    p = check_numbers(dropout, "dropout")
    if p.ndim > 1 or not ((p >= 0).all() and (p < 1).all()):
        raise ValueError(f"dropout: expected a probability in [0, 1), one or one per item, got {dropout!r}")
    return p


def _symmetric(matrix: Any, name: str, num_threads: int) -> NDArray[Any]:
    array = _square(matrix, name)
    if len(array) > 1 and array.strides[1] != array.itemsize:
        raise ValueError(f"{name}: rows must be contiguous (C order)")
    skew = float(core_for(array).asymmetry(array, resolve_threads(num_threads)))
    if np.isnan(skew):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    if skew > SYMMETRY[array.dtype]:
        raise ValueError(f"{name}: expected a symmetric matrix; [i, j] and [j, i] differ by {skew:.1e} of the diagonal")
    return array


def _square(matrix: Any, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected float32 or float64, got {array.dtype}")
    return array
