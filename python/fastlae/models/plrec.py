"""PLRec: projected linear regression."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._sparse import Csr
from .._threads import resolve_threads
from ..ops.gram import check_float
from ..ops.gram_product import gram_product_checked
from ..ops.implicit_slim import transposed_product
from ..ops.slim_lle import leading_eigenvectors
from ..ops.topk import check_count
from ..ops.weights import check_number
from .embedding import Learned, LinearEmbedding
from .mf import inverse_spd, times
from .vectors import Array

_INITS = ("svd", "slim_lle")
_EMPTY = 1e-4  # an item without users has a norm too
_NO_RIDGE = np.zeros(())


class PLRec(LinearEmbedding):
    """Linear regression of what users have on what they have, projected to few dimensions.

    With Z = X N^-1 V, V of orthonormal columns that are not trained and N the users of every item to a power: minimises
    ``|X - Z E^T|^2 + l2 |E|^2``. A user's vector is x N^-1 V.

    Parameters
    ----------
    dim : int, keyword-only
        Dimensions of the embeddings; less than the number of items.
    l2 : float
        Ridge, positive.
    power : float
        N_ii = (sum of column i of X) ** power: the larger, the less popular items count.
    init : {"svd", "slim_lle"}
        V: the leading right singular vectors of X (Algorithm 2), or `fastlae.ops.slim_lle` with l2 = slim_l2 (7).
    implicit_slim : None or "init+reg"
        "init+reg" (Algorithm 6): every step V <- an orthonormal basis of implicit_slim(V), beginning with normal
        numbers, and ``slim_weight |E - V|^2`` is added to the loss.
    slim_l2, slim_alpha, slim_min_count, slim_weight : float
        The first three as in `fastlae.ops.implicit_slim`.
    steps : int
        Of "init+reg", at most; `fit(X, validation=...)` ends earlier.
    dtype, seed, num_threads
        As in `MF`.

    Notes
    -----
    Sedhain, Menon, Sanner and Braziunas, IJCAI 2016; equation (26) of Shenbin and Nikolenko, ICLR 2024.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> fastlae.PLRec(dim=2).fit(X).recommend(sp.csr_matrix([[1, 0, 0, 0]]), k=1)[0]
    array([[1]], dtype=int32)
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        l2: float = 10.0,
        power: float = 0.5,
        init: str = "svd",
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
        self.l2 = l2
        self.power = power
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
        if check_number(self.l2, "l2", 0) == 0:
            raise ValueError("l2: expected a positive number, got 0")
        check_number(self.power, "power")
        check_number(self.slim_weight, "slim_weight", 0)
        check_count(self.steps, "steps")
        if self.init not in _INITS:
            raise ValueError(f"init: expected one of {', '.join(map(repr, _INITS))}, got {self.init!r}")
        if self.implicit_slim not in (None, "init+reg"):
            raise ValueError(f"implicit_slim: expected None or 'init+reg', got {self.implicit_slim!r}")

    def _sweeps(self, X: Csr) -> Iterator[Learned]:
        threads = resolve_threads(self.num_threads)
        dtype = check_float(self.dtype)
        n = X.shape[1]
        if self.dim >= n:
            raise ValueError(f"dim: expected less than the number of items ({n}), got {self.dim}")
        values = None if X.values is None else X.values.astype(np.float64)
        norm = (np.bincount(X.indices, weights=values, minlength=n) + _EMPTY) ** self.power
        slim = self._slim(X)
        if slim is not None:
            V = self._noise(n)
            for _ in range(self.steps):
                V = _orthonormal(slim(V))
                yield partial(self._learned, V, norm, X, self.slim_weight, threads)
            return
        if self.init == "slim_lle":
            V = ops.slim_lle(X, l2=self.slim_l2, dim=self.dim, num_threads=threads).astype(dtype)
        else:
            X64 = X._replace(values=values)

            def gram(U: NDArray[np.float64]) -> NDArray[np.float64]:
                return gram_product_checked(np.ascontiguousarray(U), X64, _NO_RIDGE, None, threads)

            V = leading_eigenvectors(gram, n, self.dim, 1e-6).astype(dtype)
        yield partial(self._learned, V, norm, X, 0.0, threads)

    def _learned(self, V: Array, norm: Any, X: Csr, weight: float, num_threads: int) -> dict[str, Any]:
        A = np.ascontiguousarray(V / norm[:, None], dtype=V.dtype)
        H = gram_product_checked(A, X, _NO_RIDGE, None, num_threads)  # X^T Z
        inner = transposed_product(A, H, num_threads).astype(np.float64)  # Z^T Z
        M = inverse_spd(inner + (self.l2 + weight) * np.eye(self.dim))
        E = times(H, M, num_threads)
        if weight:
            E += times(np.ascontiguousarray(V), weight * M, num_threads)
        return {"item_embeddings_": E, "encoder_": A, "bias_": np.zeros(len(E), E.dtype)}


def _orthonormal(V: Array) -> Array:
    """An orthonormal basis of the columns of V; V itself where they are not independent."""
    Q, R = np.linalg.qr(V.astype(np.float64))
    diagonal = np.abs(R.diagonal())
    if diagonal.min(initial=np.inf) <= 1e-6 * diagonal.max(initial=0.0):
        return V
    return np.ascontiguousarray(Q, dtype=V.dtype)
