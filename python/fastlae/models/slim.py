"""SLIM: item-item weights that are sparse to begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .. import _memory, ops
from .._arrays import host_csr, place_for, transfer
from .._sparse import Csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..ops.gram import check_float
from ..ops.weights import check_number
from .linear import LinearAutoencoder, gram_diagonal, user_weights

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger("fastlae")


class SLIM(LinearAutoencoder):
    """SLIM (Ning and Karypis 2011): ½‖X - XW‖² + (l2/2)‖W‖² + l1‖W‖₁, diag W = 0 and, as a rule, W >= 0.

    An elastic net per item, by coordinate descent on the Gram matrix (`ops.slim`).

    Parameters
    ----------
    l1 : float
        Strength of the L1 penalty, on the scale of counts: larger ones make W sparser and the fit faster.
    l2 : float
        Strength of the L2 penalty.
    nonnegative : bool
        W >= 0.
    user_power : float
        gamma: user u weighs n_u**-gamma in the Gram matrix (n_u: number of the user's items), rescaled to mean 1.
    popularity_power : float
        delta: the score of item j is multiplied by d_j**delta (d: diagonal of the Gram matrix).
    tol : float
        A column is done when every optimality condition holds within this share of its largest count.
    max_sweeps : int
        Per column; what is not done by then is told by a ConvergenceWarning.
    dtype : "float32" or "float64"
    num_threads : int
        0 means all that the process may use.
    device : None, "cpu", "cuda" or "cuda:0"
        Where to compute. None: where the interactions are. There must be room on it for the Gram matrix.

    Attributes
    ----------
    weights_ : csr_matrix, (items, items)
        W[i, j] carries input item i to target item j.
    item_counts_ : ndarray of float64, (items,)
        d, the diagonal of the Gram matrix. An item that nobody touched is never recommended.

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.SLIM(l1=0.1, l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l1: float = 10.0,
        l2: float = 100.0,
        nonnegative: bool = True,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        tol: float = 1e-4,
        max_sweeps: int = 1000,
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l1 = l1
        self.l2 = l2
        self.nonnegative = nonnegative
        self.user_power = user_power
        self.popularity_power = popularity_power
        self.tol = tol
        self.max_sweeps = max_sweeps
        self.dtype = dtype
        self.num_threads = num_threads
        self.device = device

    def _fit(self, X: Any) -> None:
        self._fit_path(X, [self])

    def fit_path(self, X: Any, l1: Iterable[float]) -> list[Self]:
        """Fit a model for each of several values of l1, each beginning with the weights of the next larger one.

        Parameters
        ----------
        X : Interactions, or sparse matrix, (users, items)
            As of `fit`.
        l1 : floats
            In any order.

        Returns
        -------
        list of SLIM
            In the order of `l1`; this model itself stays as it is.

        Examples
        --------
        >>> import fastlae
        >>> X = fastlae.data.make_interactions(n_users=200, n_items=60, seed=1)
        >>> path = fastlae.SLIM(l2=5.0).fit_path(X, [8.0, 4.0, 2.0])
        >>> [model.l1 for model in path], path[0].weights_.nnz < path[2].weights_.nnz
        ([8.0, 4.0, 2.0], True)
        """
        models = [type(self)(**{**self.get_params(), "l1": check_number(value, "l1", 0)}) for value in l1]
        self._fit_path(X, sorted(models, key=lambda model: -model.l1))
        if isinstance(X, Interactions):
            known = X._without_timestamps()
            for model in models:
                model.interactions_ = known
        return models

    @staticmethod
    def _fit_path(X: Any, models: list[Any]) -> None:
        """Fit models that differ in l1 only, in order, each from the one before."""
        if not models:
            return
        first = models[0]
        dtype = check_float(first.dtype)
        threads = resolve_threads(first.num_threads)
        place = place_for(first.device, X)
        csr = host_csr(X, dtype)
        n = csr.shape[1]
        for name in ("user_power", "popularity_power"):
            check_number(getattr(first, name), name)
        weights = user_weights(csr, first.user_power)
        d = gram_diagonal(csr, weights)
        require = _memory.require if place is None else place.require
        require(
            n * n * dtype.itemsize,
            f"a fit ({n} items, {dtype.name})",
            "dtype='float32' needs half of float64; fewer items need less (their square).",
        )
        given = csr if place is None else transfer(csr, place, dtype)
        gram = ops.gram(given, user_weights=weights, dtype=dtype, num_threads=threads)
        found = None
        for model in models:
            found = ops.slim(
                gram,
                l1=model.l1,
                l2=model.l2,
                nonnegative=model.nonnegative,
                start=found,
                tol=model.tol,
                max_sweeps=model.max_sweeps,
                num_threads=threads,
            )
            W = found.tocsr()
            if model.popularity_power != 0:
                with np.errstate(divide="ignore"):
                    column = np.where(d > 0, d**model.popularity_power, 0.0)
                W = sp.csr_matrix(W.multiply(column[None, :]), dtype=dtype)
            if place is not None:
                W = transfer(Csr(W.indptr.astype(np.int64), W.indices.astype(np.int32), W.data, (n, n)), place, dtype)
            learned = {"item_counts_": d, "form_": "sparse", "storage_": "full", "_weights": W}
            model.__dict__ = {**model.get_params(), **learned}
            _log.info("%r: fitted %d users x %d items, %d weights", model, *csr.shape, W.nnz)
