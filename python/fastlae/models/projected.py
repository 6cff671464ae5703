"""The projection family: full-rank models cut to rank k by a projector, without any n x n x n product.

With W* the full-rank model and X̄ the interactions on top of Λ^½, the best rank-k approximation of X̄ W* is
X̄ W* Q Q^T, Q the leading eigenvectors of (X̄W*)^T(X̄W*). That matrix is a diagonal scaling of G and of the inverse C,
so an eigensolver needs products with the sparse X and with C only.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ops
from .._eigen import Eigenpairs, dense_eigenpairs, leading_eigenpairs, pays_dense
from .._packed import PackedSymmetric
from .._sparse import Csr, as_csr
from .._threads import resolve_threads
from ..ops.gram import check_float
from ..ops.weights import check_dropout, check_number, check_numbers, deql_scale
from .factors import FactorModel
from .inverse import ItemsInverse, UsersInverse, build_inverse
from .linear import check_condition, gram_diagonal, invertible_ridge, user_weights
from .spectral import GramOperator, _check_tol, check_rank

Vector = NDArray[np.float64]
_log = logging.getLogger("fastlae")

_COMMON = """
    user_power : float
        gamma: user u weighs n_u**-gamma in the Gram matrix (n_u: number of the user's items), rescaled to mean 1.
    popularity_power : float
        delta: the score of item j is multiplied by d_j**delta (d: diagonal of the Gram matrix).
    form : "auto", "items" or "users"
        Which matrix is inverted on the way; see `EASE`.
    storage : "auto", "full", "packed" or "disk"
        Of that inverse; the fitted model keeps factors only.
    tol : float
        Of the eigensolver: the residual of an eigenvector, as a share of its eigenvalue.
    dtype : "float32" or "float64"
        Of the inverse and of the factors.
    num_threads : int
        0 means all that the process may use.
"""

_ATTRIBUTES = """
    Attributes
    ----------
    left_, right_ : ndarray, (items, k)
        ``W = left_ right_^T``.
    eigenvalues_ : ndarray of float64, (k,)
        Of (X̄W*)^T(X̄W*) (for ``method=2`` of W*^T W*), descending.
    residual_ : float
        The largest ‖A v - θ v‖ / θ over its eigenvectors: how accurate they are.
    item_counts_ : ndarray of float64, (items,)
        d, the diagonal of the Gram matrix. An item that nobody touched is never recommended.
"""


class Projection:
    """What the projection needs to know of a full-rank model's fit: C, Λ, and products."""

    def __init__(self, X: Csr, weights: Vector | None, d: Vector, ridge: Vector, inverse: Any, threads: int) -> None:
        self.X, self.weights, self.d, self.ridge, self.inverse, self.threads = X, weights, d, ridge, inverse, threads
        self.c: Vector = inverse.diagonal()
        self.gram = GramOperator(X._replace(values=X.values), weights, threads)

    @classmethod
    def fit(cls, X: Csr, model: Any, ridge_of: Any) -> Projection:
        """Invert G + Λ for a model's options."""
        threads = resolve_threads(model.num_threads)
        dtype = check_float(model.dtype)
        weights = user_weights(X, model.user_power)
        d = gram_diagonal(X, weights)
        ridge = invertible_ridge(ridge_of(d), d)
        if not ((d + ridge).max(initial=0.0) < np.finfo(dtype).max):
            raise ValueError(f"X, l2: the diagonal of G + Lambda exceeds what {dtype.name} can hold; scale both down")
        inverse: ItemsInverse | UsersInverse = build_inverse(
            X, weights, ridge, form=model.form, storage=model.storage, dtype=dtype, num_threads=threads
        )
        made = cls(X, weights, d, ridge, inverse, threads)
        check_condition(made.c, d + ridge, dtype)
        return made

    def times(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """C V in float64."""
        return np.asarray(self.inverse.times(V), np.float64)

    def dlae(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """(G - Λ + Λ C Λ) V: it is (X̄W)^T(X̄W) for DLAE's W = I - C Λ."""
        scaled = self.ridge[:, None] * V
        if isinstance(self.inverse, UsersInverse):  # Λ C Λ = Λ - Xw^T M^-1 Xw: nothing cancels
            explained = self.inverse._explained(np.ascontiguousarray(V, self.inverse.matrix.dtype))
            result: NDArray[np.float64] = self.gram.items(V) - explained
        else:
            result = self.gram.items(V) - scaled + self.ridge[:, None] * self.times(scaled)
        return result

    def edlae(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """(G + Λ - 2D + D C D) V, D = diag(1/c): it is (X̄W)^T(X̄W) for EDLAE's W = I - C D."""
        scaled = V / self.c[:, None]
        result: NDArray[np.float64] = self.gram.items(V) + self.ridge[:, None] * V - 2 * scaled
        return result + self.times(scaled) / self.c[:, None]

    def edlae_squared(self, V: NDArray[Any]) -> NDArray[np.float64]:
        """W^T W V for EDLAE's W = I - C D."""
        w = V - self.times(V / self.c[:, None])
        result: NDArray[np.float64] = w - self.times(w) / self.c[:, None]
        return result

    def dense(self, operator: Any) -> NDArray[np.float64] | None:
        """The operator as a matrix, where the inverse is one of items x items."""
        if not isinstance(self.inverse, ItemsInverse) or isinstance(self.inverse.matrix, PackedSymmetric):
            return None
        C = self.inverse.matrix.astype(np.float64)
        at = np.arange(len(C))
        if operator == self.edlae_squared:
            W = C * (-1.0 / self.c)
            W[at, at] += 1.0
            return np.asarray(W.T @ W)
        scale, diagonal = (self.ridge, -self.ridge) if operator == self.dlae else (1 / self.c, self.ridge - 2 / self.c)
        C *= scale[:, None]
        C *= scale
        C += ops.gram(self.X, user_weights=self.weights, dtype=np.float64, num_threads=self.threads)
        C[at, at] += diagonal
        return C

    def leading(self, operator: Any, k: int, tol: float) -> Eigenpairs:
        """The k leading eigenpairs of one of the operators above."""
        n = len(self.d)
        if pays_dense(n, k) and (A := self.dense(operator)) is not None:
            found = dense_eigenpairs(A, k)
        else:
            # The inverse is exact to its own rounding only, and so are the smaller eigenvalues.
            floor = 30 * float(np.finfo(self.inverse.matrix.dtype).eps)
            found = leading_eigenpairs(operator, n, k, tol=tol, floor=floor)
        return found

    def lredlae(self, k: int, tol: float, method: int = 1) -> tuple[NDArray[Any], NDArray[Any], Eigenpairs]:
        """W* Q and Q of EDLAE, and the eigenpairs."""
        found = self.leading(self.edlae if method == 1 else self.edlae_squared, k, tol)
        return found.vectors - self.times(found.vectors / self.c[:, None]), found.vectors, found


class ProjectedModel(FactorModel):
    """What the models of the projection family share; use one of the subclasses."""

    k: int
    l2: float
    dropout: float
    form: str
    storage: str
    tol: float
    eigenvalues_: Vector
    residual_: float
    _also = ("eigenvalues_", "residual_")

    def _set_common(
        self,
        user_power: float,
        popularity_power: float,
        form: str,
        storage: str,
        tol: float,
        dtype: Any,
        num_threads: int,
    ) -> None:
        self.user_power = user_power
        self.popularity_power = popularity_power
        self.form = form
        self.storage = storage
        self.tol = tol
        self.dtype = dtype
        self.num_threads = num_threads

    def _check(self, n: int) -> None:
        """Refuse hyperparameters that make no sense for n items."""
        self._check_common()
        check_rank(self.k, n)
        _check_tol(self.tol)
        check_ridge(self, n)

    def _ridge(self, d: Vector) -> Vector:
        p = np.asarray(self.dropout, dtype=np.float64)
        return p / (1.0 - p) * d + np.asarray(self.l2, dtype=np.float64)

    @abstractmethod
    def _factors(self, projection: Projection) -> tuple[NDArray[Any], NDArray[Any], Eigenpairs]:
        """L, R and the eigenpairs behind them."""

    def _fit(self, X: Any) -> None:
        csr = as_csr(X, dtype=check_float(self.dtype), nonnegative=True)
        self._check(csr.shape[1])
        projection = Projection.fit(csr, self, self._ridge)
        left, right, found = self._factors(projection)
        also = {"eigenvalues_": found.values, "residual_": found.residual}
        self._learned(left, right, projection.d, also=also)
        _log.info("%r: fitted %d users x %d items", self, *csr.shape)


def check_ridge(model: Any, n: int) -> None:
    """Refuse an l2, a dropout, a form or a storage that make no inverse."""
    for name, values in (("l2", check_numbers(model.l2, "l2")), ("dropout", check_dropout(model.dropout))):
        if values.ndim and values.shape != (n,):
            raise ValueError(f"{name}: expected a number, or one per item ({n}), got shape {values.shape}")
        if (values < 0).any():
            raise ValueError(f"{name}: expected numbers of at least 0, got {getattr(model, name)!r}")
    if model.form not in ("auto", "items", "users"):
        raise ValueError(f"form: expected 'auto', 'items' or 'users', got {model.form!r}")
    if model.storage not in ("auto", "full", "packed", "disk"):
        raise ValueError(f"storage: expected 'auto', 'full', 'packed' or 'disk', got {model.storage!r}")


class LRDLAE(ProjectedModel):
    __doc__ = f"""DLAE of rank k: min ‖X - XW‖² + ‖Λ^½ W‖², rank(W) <= k, Λ = p/q d + l2 (q = 1 - p), in closed form.

    W = W* Q Q^T, W* = I - CΛ that of `DLAE`, Q the leading eigenvectors of G - Λ + ΛCΛ.

    Parameters
    ----------
    k : int
        Rank; with as many as there are items it is `DLAE`.
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    dropout : float or array_like, (items,)
        p, the probability that an input entry is dropped; one for all items, or one each.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.LRDLAE(k=2, l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int = 256,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l2 = l2
        self.dropout = dropout
        self._set_common(user_power, popularity_power, form, storage, tol, dtype, num_threads)

    def _factors(self, projection: Projection) -> tuple[NDArray[Any], NDArray[Any], Eigenpairs]:
        found = projection.leading(projection.dlae, self.k, self.tol)
        Q = found.vectors
        return Q - projection.times(projection.ridge[:, None] * Q), Q, found


class LREDLAE(ProjectedModel):
    __doc__ = f"""EDLAE cut to rank k: W = W* Q Q^T, W* = I - C diag(1/c) that of `EDLAE`, in closed form.

    Unlike W*, the product has a diagonal; `LowRankEDLAE` minimises EDLAE's own objective at rank k.

    Parameters
    ----------
    k : int
        Rank; with as many as there are items it is `EDLAE`.
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    dropout : float or array_like, (items,)
        p, the probability that an input entry is dropped; one for all items, or one each.
    method : 1 or 2
        What is approximated best: 1 the regularised predictions X̄W*, Q the leading eigenvectors of
        G + Λ - 2D + DCD, D = diag(1/c); 2 W* itself, by its truncated singular value decomposition.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.LREDLAE(k=2, l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int = 256,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        method: int = 1,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.k = k
        self.l2 = l2
        self.dropout = dropout
        self.method = method
        self._set_common(user_power, popularity_power, form, storage, tol, dtype, num_threads)

    def _check(self, n: int) -> None:
        super()._check(n)
        if self.method not in (1, 2):
            raise ValueError(f"method: expected 1 or 2, got {self.method!r}")

    def _factors(self, projection: Projection) -> tuple[NDArray[Any], NDArray[Any], Eigenpairs]:
        return projection.lredlae(self.k, self.tol, self.method)


class LRDEQL(LRDLAE):
    __doc__ = f"""DEQL of rank k for a = b, in closed form (Theorem B.1 of the DEQL paper).

    Equal to LRDLAE with the ridge l2/g, g = (1 - p)² b², times 1/(1 - p).

    Parameters
    ----------
    k : int
        Rank; with as many as there are items it is `DEQL` with a = b.
    l2 : float
        lambda; the inverse sees lambda/g.
    dropout : float
        p, the probability that an input entry is dropped.
    b : float
        Weight of every entry, kept or dropped; the loss has its square.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.LRDEQL(k=2, l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        k: int = 256,
        l2: float = 100.0,
        dropout: float = 0.5,
        b: float = 1.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        tol: float = 1e-4,
        dtype: Any = "float32",
        num_threads: int = 0,
    ) -> None:
        self.b = b
        super().__init__(
            k=k,
            l2=l2,
            dropout=dropout,
            user_power=user_power,
            popularity_power=popularity_power,
            form=form,
            storage=storage,
            tol=tol,
            dtype=dtype,
            num_threads=num_threads,
        )

    def _check(self, n: int) -> None:
        super()._check(n)
        check_number(self.l2, "l2", 0)
        check_number(self.dropout, "dropout", 0)
        if not check_number(self.b, "b", 0) > 0:
            raise ValueError(f"b: expected a positive number, got {self.b!r}")

    def _ridge(self, d: Vector) -> Vector:
        return self.dropout / (1.0 - self.dropout) * d + self.l2 / deql_scale(self.dropout, self.b, self.b)

    def _factors(self, projection: Projection) -> tuple[NDArray[Any], NDArray[Any], Eigenpairs]:
        left, right, found = super()._factors(projection)
        return left / (1.0 - self.dropout), right, found
