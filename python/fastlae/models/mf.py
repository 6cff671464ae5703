"""Matrix factorisation with uniform weights, in closed form, and GRALS: the same with a Laplacian over items.

A sweep of alternating least squares needs no users x dim array. With K = (E^T E + l2_user I)^-1 the users' vectors are
P = (X - 1 b^T) E K, so that

    H = (X - 1 b^T)^T (X - 1 b^T) E,    (X - 1 b^T)^T P = H K,    P^T P = K (E^T H) K,

and H = (X^T X) E - m b (b^T E), as b has the means of the columns of X: one `gram_product`, and matrices of order dim.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from .. import ops
from .._sparse import Csr
from .._threads import resolve_threads
from ..ops.gram import check_float
from ..ops.gram_product import gram_product_checked
from ..ops.implicit_slim import transposed_product
from ..ops.score import product
from ..ops.topk import check_count
from ..ops.weights import check_number
from .embedding import Learned, LinearEmbedding
from .vectors import Array

Vector = NDArray[np.float64]
_INITS = ("normal", "slim_lle")
_NO_RIDGE = np.zeros(())


def column_means(X: Csr) -> Vector:
    """b, the mean of every column."""
    values = None if X.values is None else X.values.astype(np.float64)
    return np.asarray(np.bincount(X.indices, weights=values, minlength=X.shape[1]) / max(1, X.shape[0]))


def inverse_spd(M: Vector) -> Vector:
    """The inverse of a small symmetric positive definite matrix."""
    return np.asarray(scipy.linalg.inv((M + M.T) / 2, check_finite=False))


def times(E: Array, K: Vector, num_threads: int) -> Array:
    """E K in E's precision."""
    return product(E, np.ascontiguousarray(K, dtype=E.dtype), num_threads)


class _Least:
    """The normal equations of one side of X - 1 b^T for given E."""

    def __init__(self, E: Array, X: Csr, b: Vector, l2_user: float, num_threads: int) -> None:
        self.K = inverse_spd(transposed_product(E, E, num_threads).astype(np.float64) + l2_user * np.eye(E.shape[1]))
        self.H = gram_product_checked(E, X, _NO_RIDGE, None, num_threads)
        if b.any():
            self.H -= np.outer(X.shape[0] * b, b @ E).astype(E.dtype)
        inner = transposed_product(E, self.H, num_threads).astype(np.float64)
        users = self.K @ inner @ self.K
        self.users: Vector = (users + users.T) / 2  # P^T P


class MF(LinearEmbedding):
    """Matrix factorisation: users and items as vectors, all missing entries taken for zeros.

    Minimises ``|X - 1 b^T - P E^T|^2 + l2_user |P|^2 + l2_item |E|^2`` by alternating least squares in closed form. A
    user, seen in training or not, has the vector that is best for E: ``p = (x - b) E (E^T E + l2_user I)^-1``.

    Parameters
    ----------
    dim : int, keyword-only
        Dimensions of the embeddings.
    l2_user, l2_item : float
        Ridges, positive.
    bias : bool
        Subtract the mean of every column (b); else b = 0.
    init : {"normal", "slim_lle"}
        What E begins with: normal numbers, or `fastlae.ops.slim_lle` with l2 = slim_l2.
    implicit_slim : None, "init" or "init+reg"
        "init+reg": every step computes V = implicit_slim(E), begins with it (the first step) and adds
        ``slim_weight |E - V|^2`` to the loss (Algorithm 3). "init": E <- implicit_slim(E) at every step, nothing else
        (Algorithm 4).
    slim_l2, slim_alpha, slim_min_count, slim_weight : float
        The first three as in `fastlae.ops.implicit_slim`, which "init" and "init+reg" call.
    steps : int
        At most so many; `fit(X, validation=...)` ends earlier. With 0, E is what `init` says (Algorithm 5).
    dtype : float32 or float64
    seed : int
        Of the normal numbers.
    num_threads : int
        0 means all that the process may use. The result is the same, bit for bit, for any number.

    Notes
    -----
    Equations (25) and (27) of Shenbin and Nikolenko, ICLR 2024. A step takes one `gram_product`; memory is a few times
    that of E, whatever the number of users.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.MF(dim=2, steps=10).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        l2_user: float = 10.0,
        l2_item: float = 10.0,
        bias: bool = True,
        init: str = "normal",
        implicit_slim: str | None = None,
        slim_l2: float = 100.0,
        slim_alpha: float = 1.0,
        slim_min_count: float = 0,
        slim_weight: float = 10.0,
        steps: int = 10,
        dtype: Any = "float32",
        seed: int = 0,
        num_threads: int = 0,
    ) -> None:
        self.dim = dim
        self.l2_user = l2_user
        self.l2_item = l2_item
        self.bias = bias
        self.init = init
        self.implicit_slim = implicit_slim
        self.slim_l2 = slim_l2
        self.slim_alpha = slim_alpha
        self.slim_min_count = slim_min_count
        self.slim_weight = slim_weight
        self.steps = steps
        self.dtype = dtype
        self.seed = seed
        self.num_threads = num_threads

    def _check(self) -> None:
        for name in ("l2_user", "l2_item"):
            if check_number(getattr(self, name), name, 0) == 0:
                raise ValueError(f"{name}: expected a positive number, got 0")
        check_number(self.slim_weight, "slim_weight", 0)
        if self.init not in _INITS:
            raise ValueError(f"init: expected one of {', '.join(map(repr, _INITS))}, got {self.init!r}")
        if self.steps != 0:
            check_count(self.steps, "steps")

    def _sweeps(self, X: Csr) -> Iterator[Learned]:
        threads = resolve_threads(self.num_threads)
        b = column_means(X) if self.bias else np.zeros(X.shape[1])
        slim = self._slim(X)
        E = self._noise(X.shape[1])
        if self.init == "slim_lle":
            E = ops.slim_lle(X, l2=self.slim_l2, dim=self.dim, num_threads=threads).astype(E.dtype)
        if self.steps == 0:
            yield partial(self._learned, E, X, b, threads)
        for step in range(self.steps):
            V = None if slim is None else slim(E)
            if V is not None and (step == 0 or self.implicit_slim == "init"):
                E = V
            if self.implicit_slim != "init":
                E = self._step(E, X, b, V, threads)
            yield partial(self._learned, E, X, b, threads)

    def _step(self, E: Array, X: Csr, b: Vector, V: Array | None, num_threads: int) -> Array:
        """E for the best P; equation (27)."""
        least = _Least(E, X, b, self.l2_user, num_threads)
        weight = 0.0 if V is None else self.slim_weight
        M = inverse_spd(least.users + (self.l2_item + weight) * np.eye(self.dim))
        result = times(least.H, least.K @ M, num_threads)
        if V is not None and weight:
            result += times(V, weight * M, num_threads)
        return result

    def _learned(self, E: Array, X: Csr, b: Vector, num_threads: int) -> dict[str, Any]:
        gram = transposed_product(E, E, num_threads).astype(np.float64)
        K = inverse_spd(gram + self.l2_user * np.eye(self.dim))
        A = times(E, K, num_threads)
        offset = b - (b @ A) @ E.astype(np.float64).T if b.any() else b
        return {"item_embeddings_": E, "encoder_": A, "bias_": offset.astype(check_float(self.dtype))}


class GRALS(MF):
    """`MF` with items that share users drawn together: graph-regularized alternating least squares.

    Adds ``l2_graph tr(E^T L E)`` to the loss of `MF`, L = I - D^-1/2 A D^-1/2 being the Laplacian of the graph with A =
    X^T X off the diagonal; L is applied through X, never formed. P is computed exactly, E by gradient steps of the best
    length.

    Parameters
    ----------
    dim, l2_user, l2_item, bias, steps, dtype, seed, num_threads
        As in `MF`.
    l2_graph : float
        Strength of the Laplacian, at least 0.
    gradient_steps : int
        Of E, per step.

    Notes
    -----
    Rao, Yu, Ravikumar and Dhillon, NIPS 2015, with the graph of the items alone.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.GRALS(dim=2).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        l2_user: float = 10.0,
        l2_item: float = 10.0,
        l2_graph: float = 0.1,
        bias: bool = True,
        gradient_steps: int = 5,
        steps: int = 10,
        dtype: Any = "float32",
        seed: int = 0,
        num_threads: int = 0,
    ) -> None:
        super().__init__(
            dim=dim,
            l2_user=l2_user,
            l2_item=l2_item,
            bias=bias,
            steps=steps,
            dtype=dtype,
            seed=seed,
            num_threads=num_threads,
        )
        self.l2_graph = l2_graph
        self.gradient_steps = gradient_steps

    def _check(self) -> None:
        super()._check()
        check_number(self.l2_graph, "l2_graph", 0)
        check_count(self.gradient_steps, "gradient_steps")
        check_count(self.steps, "steps")

    def _sweeps(self, X: Csr) -> Iterator[Learned]:
        threads = resolve_threads(self.num_threads)
        ones = gram_product_checked(np.ones((X.shape[1], 1)), X._replace(values=_float64(X)), _NO_RIDGE, None, threads)
        squares = None if X.values is None else X.values.astype(np.float64) ** 2
        self_loops = np.bincount(X.indices, weights=squares, minlength=X.shape[1]).astype(np.float64)
        degree = ones[:, 0] - self_loops
        root = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)[:, None]

        def laplacian(E: Array) -> Array:
            scaled = (root * E).astype(E.dtype)
            neighbours = gram_product_checked(scaled, X, _NO_RIDGE, None, threads) - self_loops[:, None] * scaled
            result: Array = (E - root * neighbours).astype(E.dtype)
            return result

        b = column_means(X) if self.bias else np.zeros(X.shape[1])
        E = self._noise(X.shape[1])
        for _ in range(self.steps):
            least = _Least(E, X, b, self.l2_user, threads)
            right = times(least.H, least.K, threads)
            M = least.users + self.l2_item * np.eye(self.dim)
            LE = laplacian(E)
            for _ in range(self.gradient_steps):
                gradient = times(E, M, threads) - right + self.l2_graph * LE
                L_gradient = laplacian(gradient)
                curved = times(gradient, M, threads) + self.l2_graph * L_gradient
                down = float(np.vdot(gradient, gradient))
                if down == 0:
                    break
                length = E.dtype.type(down / float(np.vdot(gradient, curved)))
                E = E - length * gradient
                LE = LE - length * L_gradient
            yield partial(self._learned, E, X, b, threads)


def _float64(X: Csr) -> Any:
    return None if X.values is None else X.values.astype(np.float64)
