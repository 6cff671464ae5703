"""The spectral family: one eigendecomposition of the Gram matrix, then a filter of its singular values per model.

Every model is W = V f(σ) V^T, V the leading right singular vectors of X (of D^{1/2} X with user weights D) and σ their
singular values. A `SpectralPath` computes them once for every model and every hyperparameter.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._eigen import Eigenpairs, dense_eigenpairs, leading_eigenpairs, pays_dense
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..ops import spectral as filters
from ..ops.topk import check_count
from ..ops.weights import check_number, check_numbers
from .factors import FactorModel
from .linear import gram_diagonal, user_weights

Vector = NDArray[np.float64]
_log = logging.getLogger("fastlae")
_ZERO = 1e-7  # of the largest singular value: below it is what rounding leaves of a zero

COMMON = """
    user_power : float
        gamma: user u weighs n_u**-gamma in the Gram matrix (n_u: number of the user's items), rescaled to mean 1.
    popularity_power : float
        delta: the score of item j is multiplied by d_j**delta (d: diagonal of the Gram matrix).
    tol : float
        Of the eigensolver: the residual of an eigenvector of the Gram matrix, as a share of its eigenvalue.
    dtype : "float32" or "float64"
        Of the factors; the decomposition itself is in float64.
    num_threads : int
        0 means all that the process may use.
"""

ATTRIBUTES = """
    Attributes
    ----------
    singular_values_ : ndarray of float64, (k,)
        σ, descending.
    left_ : ndarray, (items, k)
        V; `right_` is the same array, unless there is a popularity scaling.
    filter_ : ndarray, (k,)
        f(σ).
    rank_ : int
        How many of them are not zero.
    residual_ : float
        The largest ‖G v - σ² v‖ / σ² over the singular vectors: how accurate they are.
    item_counts_ : ndarray of float64, (items,)
        d, the diagonal of the Gram matrix. An item that nobody touched is never recommended.
"""


class Decomposition(NamedTuple):
    """Leading singular values (k,) and right singular vectors (items, k) of D^{1/2} X, zeros cut off at the end."""

    sigma: Vector
    V: NDArray[np.float64]
    residual: float
    item_counts: Vector


class GramOperator:
    """Products with X^T D X, or with D^{1/2} X X^T D^{1/2}, that pass through the sparse X twice."""

    def __init__(self, X: Csr, weights: Vector | None, num_threads: int) -> None:
        self.X, self.by_item, self.num_threads = X, X.transpose(), num_threads
        self.weights = weights
        self.roots = None if weights is None else np.sqrt(weights)

    def items(self, V: NDArray[Any]) -> NDArray[Any]:
        """X^T D X V."""
        T = ops.score(self.X, V, num_threads=self.num_threads)
        if self.weights is not None:
            T *= self.weights.astype(T.dtype)[:, None]
        return ops.score(self.by_item, T, num_threads=self.num_threads)

    def users(self, U: NDArray[Any]) -> NDArray[Any]:
        """D^{1/2} X X^T D^{1/2} U."""
        T = ops.score(self.X, self.to_items(U), num_threads=self.num_threads)
        return T if self.roots is None else T * self.roots[:, None]

    def to_items(self, U: NDArray[Any]) -> NDArray[Any]:
        """X^T D^{1/2} U."""
        scaled = U if self.roots is None else np.ascontiguousarray(U * self.roots[:, None])
        return ops.score(self.by_item, scaled, num_threads=self.num_threads)


def decompose(X: Csr, weights: Vector | None, k: int, *, tol: float, num_threads: int) -> Decomposition:
    """The k leading singular values and right singular vectors, from the smaller of the two Gram matrices."""
    X = X._replace(values=None if X.values is None else X.values.astype(np.float64))
    users, items = X.shape
    side = min(users, items)
    rank = min(k, side)
    operator = GramOperator(X, weights, num_threads)
    if rank == 0:
        return Decomposition(np.zeros(0), np.zeros((items, 0)), 0.0, gram_diagonal(X, weights))
    _log.info("singular vectors: %d of %d users x %d items", rank, users, items)
    if users < items:
        found = _users_side(X, operator, rank, tol)
        V, sigma = operator.to_items(found.vectors), np.sqrt(np.maximum(found.values, 0.0))
        V = np.divide(V, sigma, out=np.zeros_like(V), where=sigma > _ZERO * sigma[0])
    else:
        found = _items_side(X, weights, operator, rank, tol)
        V, sigma = found.vectors, np.sqrt(np.maximum(found.values, 0.0))
    there = int(np.count_nonzero(sigma > _ZERO * sigma[0]))
    sigma, V = sigma[:there], np.ascontiguousarray(V[:, :there])
    residual = 0.0
    for begin in range(0, there, 256):
        part = np.ascontiguousarray(V[:, begin : begin + 256])
        squared = sigma[begin : begin + 256] ** 2
        norms = np.linalg.norm(operator.items(part) - part * squared, axis=0)
        residual = max(residual, float((norms / squared).max(initial=0.0)))
    return Decomposition(sigma, V, residual, gram_diagonal(X, weights))


def _items_side(X: Csr, weights: Vector | None, operator: GramOperator, k: int, tol: float) -> Eigenpairs:
    n = X.shape[1]
    if pays_dense(n, k):
        G = ops.gram(X, user_weights=weights, dtype=np.float64, num_threads=operator.num_threads)
        return dense_eigenpairs(G, k)
    return leading_eigenpairs(operator.items, n, k, tol=tol)


def _users_side(X: Csr, operator: GramOperator, k: int, tol: float) -> Eigenpairs:
    m = X.shape[0]
    if pays_dense(m, k):
        G = ops.gram(operator.by_item, dtype=np.float64, num_threads=operator.num_threads)
        if operator.roots is not None:
            G *= operator.roots[:, None]
            G *= operator.roots
        return dense_eigenpairs(G, k)
    # A user-side residual r becomes up to r σ_1/σ_k on the items' side: asked for more closely.
    return leading_eigenpairs(operator.users, m, k, tol=0.1 * tol)


class SpectralModel(FactorModel):
    """What the models of the spectral family share; use one of the subclasses."""

    singular_values_: Vector
    residual_: float
    tol: float
    _also = ("singular_values_", "residual_")

    def _set_common(self, user_power: float, popularity_power: float, tol: float, dtype: Any, num_threads: int) -> None:
        self.user_power = user_power
        self.popularity_power = popularity_power
        self.tol = tol
        self.dtype = dtype
        self.num_threads = num_threads

    # What a subclass defines.

    def _check(self, n: int) -> None:
        """Refuse hyperparameters that make no sense for n items."""
        self._check_common()
        _check_tol(self.tol)

    @abstractmethod
    def _components(self) -> int | None:
        """How many singular vectors the model has at most, or None: that follows from the singular values."""

    @abstractmethod
    def _filter(self, sigma: Vector) -> Vector:
        """f, for all of the singular values that the model has, or for as many as are needed to see where it is 0."""

    # What is shared.

    def _fit(self, X: Any) -> None:
        csr = as_csr(X, dtype=np.float64, nonnegative=True)
        n = csr.shape[1]
        self._check(n)
        weights = user_weights(csr, self.user_power)
        threads = resolve_threads(self.num_threads)
        most = min(csr.shape)
        asked = self._components()
        k = min(128, most) if asked is None else min(asked, most)
        while True:
            found = decompose(csr, weights, k, tol=self.tol, num_threads=threads)
            if self._take(found, complete=asked is not None or k == most):
                break
            k = min(most, 2 * k)
        _log.info("%r: fitted %d users x %d items, rank %d", self, *csr.shape, self.rank_)

    def _take(self, found: Decomposition, *, complete: bool) -> bool:
        """Learn from a decomposition; False if it does not reach far enough to tell the rank."""
        k = self._components()
        sigma, V = found.sigma[:k], found.V[:, :k]
        f = self._filter(sigma)
        if k is None:
            rank = int(np.count_nonzero(f))
            if not complete and rank == len(sigma):
                return False
            sigma, V, f = sigma[:rank], V[:, :rank], f[:rank]
        also = {"singular_values_": sigma.copy(), "residual_": found.residual}
        self._learned(V, V, found.item_counts, scale=f, also=also)
        return True


def _check_tol(tol: Any) -> None:
    if not 0 < check_number(tol, "tol") < 1:
        raise ValueError(f"tol: expected a number between 0 and 1, got {tol!r}")


def check_rank(k: Any, n: int) -> int:
    """`k` as an integer from 1 to the number of items."""
    if check_count(k, "k") > n:
        raise ValueError(f"k: expected at most the number of items, {n}, got {k}")
    return int(k)


def check_weights(weights: Any, k: int | None, name: str = "weights") -> Vector:
    """`weights` as a vector of non-negative numbers, one per factor."""
    numbers = check_numbers(weights, name)
    if numbers.ndim != 1 or (k is not None and numbers.shape != (k,)):
        expected = "one number per factor" if k is None else f"one number per factor ({k})"
        raise ValueError(f"{name}: expected {expected}, got shape {numbers.shape}")
    if not len(numbers):
        raise ValueError(f"{name}: expected at least one number")
    if (numbers < 0).any():
        raise ValueError(f"{name}: expected numbers of at least 0, got {numbers.min()}")
    return numbers


class LRR(SpectralModel):
    __doc__ = f"""Low-rank regression (Jin et al. 2021): min ‖X - XW‖² + ‖Γ W‖², Γ = Λ^½ V_k^T, rank(W) <= k.

    W = V_k diag(σ² / (σ² + λ)) V_k^T: Tikhonov's filter. Equation (6) of the regularization landscape.

    Parameters
    ----------
    k : int
        Rank.
    l2 : float, optional
        λ, the same for all factors; 100 where neither it nor `weights` is given.
    weights : array_like, (k,), optional
        λ_i, one per factor, the first for the largest singular value; instead of `l2`.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.LRR(k=2, l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int = 256,
        l2: float | None = None,
        weights: Any = None,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l2 = l2
        self.weights = weights
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        check_rank(self.k, n)
        if self.l2 is not None and self.weights is not None:
            raise ValueError("l2, weights: give one of them")
        self._ridge()

    def _ridge(self) -> Any:
        """λ, one for all factors or one for each."""
        if self.weights is not None:
            return check_weights(self.weights, self.k)
        return 100.0 if self.l2 is None else check_number(self.l2, "l2", 0)

    def _components(self) -> int | None:
        return self.k

    def _filter(self, sigma: Vector) -> Vector:
        ridge = self._ridge()
        return filters.tikhonov_filter(sigma, ridge if self.weights is None else ridge[: len(sigma)])


class RegularizedPCA(SpectralModel):
    __doc__ = f"""Regularized PCA (Zheng et al. 2018): min ‖X - PQ‖² + λ(‖P‖² + ‖Q‖²), rank k.

    Equal to ‖X - Y‖² + 2λ‖Y‖_*: singular values are shrunk by λ, W = V_k diag((σ - λ)₊ / σ) V_k^T. Equation (1) of the
    regularization landscape.

    Parameters
    ----------
    k : int
        Rank at most.
    l2 : float
        λ, on the scale of singular values.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.RegularizedPCA(k=2, l2=0.5).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int = 256,
        l2: float = 10.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l2 = l2
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        check_rank(self.k, n)
        check_number(self.l2, "l2", 0)

    def _components(self) -> int | None:
        return self.k

    def _filter(self, sigma: Vector) -> Vector:
        return filters.shrinkage_filter(sigma, self.l2)


class VLAE(SpectralModel):
    __doc__ = f"""Variational linear autoencoder: min ‖X - XAB‖² + ‖XA‖² + ‖ΛB‖², the weighted nuclear norm.

    Equal to ‖X - W‖² + 2‖W‖_(ω,*) of rank k, ω the diagonal of Λ (5): W = V_k diag((σ - ω)₊ / σ) V_k^T. Only the
    multiset of the weights matters: the smallest goes to the largest singular value (Proposition 2).

    Parameters
    ----------
    k : int, optional
        Rank at most; where it is left out the number of `weights`, or 256 with `c`.
    c : float, optional
        ω_i = c / σ_i, as the paper searches them; 100 where neither it nor `weights` is given.
    weights : array_like, (k,), optional
        ω, in any order; instead of `c`.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.VLAE(k=2, c=0.5).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int | None = None,
        c: float | None = None,
        weights: Any = None,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.c = c
        self.weights = weights
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        if self.c is not None and self.weights is not None:
            raise ValueError("c, weights: give one of them")
        if self.weights is not None:
            check_rank(len(check_weights(self.weights, self.k)), n)
        self._constant()
        if self.k is not None:
            check_rank(self.k, n)

    def _constant(self) -> float:
        return 100.0 if self.c is None else check_number(self.c, "c", 0)

    def _components(self) -> int | None:
        if self.k is None and self.weights is None:
            return 256
        return len(self.weights) if self.k is None else self.k

    def _filter(self, sigma: Vector) -> Vector:
        if self.weights is None:
            return filters.shrinkage_filter(sigma, self._constant() / sigma)
        return filters.shrinkage_filter(sigma, np.sort(check_weights(self.weights, self.k))[: len(sigma)])


class WLAE(SpectralModel):
    __doc__ = f"""Linear autoencoder with non-uniform L2 weights (Bao et al. 2020); its factors are the principal ones.

    min ‖X - X W₁ W₂‖² + ‖W₁ Λ^½‖² + ‖Λ^½ W₂‖² (2), Λ non-descending: W = V_k diag((1 - λ/σ²)₊) V_k^T.

    Parameters
    ----------
    weights : array_like, (k,)
        λ, non-descending, one per factor; their number is the rank at most.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.WLAE(weights=[0.1, 0.2]).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        weights: Any = None,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.weights = weights
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        if self.weights is None:
            raise ValueError("weights: expected one number per factor, got None")
        weights = check_weights(self.weights, None)
        if len(weights) > n:
            raise ValueError(f"weights: expected at most one per item, {n}, got {len(weights)}")
        if (np.diff(weights) < 0).any():
            raise ValueError("weights: expected non-descending numbers, the smallest for the largest singular value")

    def _components(self) -> int | None:
        return len(self.weights)

    def _filter(self, sigma: Vector) -> Vector:
        return filters.lae_filter(sigma, check_weights(self.weights, None)[: len(sigma)])


class MFDropout(SpectralModel):
    __doc__ = f"""Matrix factorization with dropout of factors (Cavazza et al. 2018): min ‖X - Y‖² + (1-θ)/θ ‖Y‖_*².

    The regularizer in its closed form (47): singular values are shrunk by
    ``μ = (1-θ) / (θ + (1-θ) d) Σ_(i<=d) σ_i``, d the largest number with σ_d > μ, which is the rank that dropout
    induces; it is found, not given. As many singular vectors are computed as that takes.

    Parameters
    ----------
    keep : float
        θ in (0, 1], the probability that a factor is kept. Near 1 there is little shrinkage and the rank is large; 1 is
        none at all, and W the projector on all of X's row space.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> model = fastlae.MFDropout(keep=0.9).fit(X)
    >>> model.rank_, model.recommend(X[:2], k=1)[0].tolist()
    (3, [[2], [0]])
    """

    def __init__(
        self,
        *,
        keep: float = 0.99,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.keep = keep
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        if not 0 < check_number(self.keep, "keep") <= 1:
            raise ValueError(f"keep: expected a probability in (0, 1], got {self.keep!r}")

    def _components(self) -> int | None:
        return None

    def _filter(self, sigma: Vector) -> Vector:
        threshold, _ = filters.dropout_threshold(sigma, self.keep)
        return filters.shrinkage_filter(sigma, threshold)


class NuclearPower(SpectralModel):
    __doc__ = f"""A power of the nuclear norm: min ‖X - W‖² + l2 ‖W‖_*^p, p >= 1 (12).

    Singular values are shrunk by μ, the root of ``μ = (l2 p/2) (Σ (σ - μ)₊)^(p-1)`` (Lemma 2). p = 1 is the nuclear
    norm itself (shrinkage l2/2), p = 2 dropout (l2 = (1-θ)/θ). The rank is found, not given.

    Parameters
    ----------
    l2 : float
        λ'.
    p : float
        At least 1.
    {COMMON.strip()}

    {ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.NuclearPower(l2=0.1, p=2).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: float = 10.0,
        p: float = 1.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.l2 = l2
        self.p = p
        self._set_common(user_power, popularity_power, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        check_number(self.l2, "l2", 0)
        if check_number(self.p, "p") < 1:
            raise ValueError(f"p: expected at least 1, got {self.p!r}")

    def _components(self) -> int | None:
        return None

    def _filter(self, sigma: Vector) -> Vector:
        return filters.shrinkage_filter(sigma, filters.power_threshold(sigma, self.l2, self.p))
