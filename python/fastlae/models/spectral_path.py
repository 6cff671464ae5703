"""Every spectral model and every hyperparameter from one decomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._sparse import as_csr
from .._threads import resolve_threads
from ..data.interactions import Interactions
from ..errors import NotFittedError
from ..ops.weights import check_number
from .linear import user_weights
from .spectral import Decomposition, SpectralModel, _check_tol, check_rank, decompose

if TYPE_CHECKING:
    from typing_extensions import Self

Model = TypeVar("Model", bound=SpectralModel)


class SpectralPath:
    """The leading singular vectors of the interactions, for any number of spectral models.

    Parameters
    ----------
    k : int
        How many; models of lower rank take the first ones.
    user_power : float
        As of the models: user u weighs n_u**-gamma.
    tol : float
        The residual of an eigenvector of the Gram matrix, as a share of its eigenvalue.
    num_threads : int
        0 means all that the process may use.

    Attributes
    ----------
    singular_values_ : ndarray of float64, (k,)
        Descending; fewer where the rank of X is less.
    components_ : ndarray of float64, (items, k)
        V, by columns.
    residual_ : float
        The largest ‖G v - σ² v‖ / σ².

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.data.make_interactions(n_users=200, n_items=60, seed=1)
    >>> path = fastlae.SpectralPath(k=40).fit(X)
    >>> models = [path.model(fastlae.LRR(k=k, l2=l2)) for k in (10, 40) for l2 in (1.0, 10.0)]
    >>> [model.rank_ for model in models]
    [10, 10, 40, 40]
    """

    def __init__(self, *, k: int = 256, user_power: float = 0.0, tol: float = 1e-4, num_threads: int = 0) -> None:
        self.k = k
        self.user_power = user_power
        self.tol = tol
        self.num_threads = num_threads

    def __repr__(self) -> str:
        """The call that makes it."""
        return f"SpectralPath(k={self.k}, user_power={self.user_power}, tol={self.tol})"

    def fit(self, X: Any) -> Self:
        """Decompose interactions.

        Parameters
        ----------
        X : Interactions, or sparse matrix, (users, items)
            Finite, non-negative values.

        Returns
        -------
        self
        """
        csr = as_csr(X, dtype=np.float64, nonnegative=True)
        check_rank(self.k, csr.shape[1])
        check_number(self.user_power, "user_power")
        _check_tol(self.tol)
        weights = user_weights(csr, self.user_power)
        threads = resolve_threads(self.num_threads)
        self._found = decompose(csr, weights, min(self.k, *csr.shape), tol=self.tol, num_threads=threads)
        self._complete = self.k >= min(csr.shape)
        self._n_items = csr.shape[1]
        self._interactions = X._without_timestamps() if isinstance(X, Interactions) else None
        return self

    def _decomposition(self) -> Decomposition:
        if not hasattr(self, "_found"):
            raise NotFittedError("this SpectralPath is not fitted yet: call fit(X) first")
        return self._found

    @property
    def singular_values_(self) -> NDArray[np.float64]:
        """σ, descending."""
        return self._decomposition().sigma

    @property
    def components_(self) -> NDArray[np.float64]:
        """V, (items, k)."""
        return self._decomposition().V

    @property
    def residual_(self) -> float:
        """The largest ‖G v - σ² v‖ / σ²."""
        return self._decomposition().residual

    def model(self, model: Model) -> Model:
        """Fit a spectral model from this decomposition, at the price of a copy of its factors.

        Parameters
        ----------
        model : LRR, RegularizedPCA, VLAE, WLAE, MFDropout or NuclearPower
            Its hyperparameters count; what it learned before is replaced. Its `user_power` must be the path's.

        Returns
        -------
        the same model, fitted

        Raises
        ------
        ValueError
            If the model needs more singular vectors than the path has.
        """
        found = self._decomposition()
        if not isinstance(model, SpectralModel):
            raise TypeError(f"model: expected a model of the spectral family, got {model!r}")
        model._check(self._n_items)
        if model.user_power != self.user_power:
            raise ValueError(f"user_power: expected the path's, {self.user_power}, got {model.user_power}")
        asked = model._components()
        if asked is not None and asked > self.k:
            raise ValueError(f"k: {model!r} needs {asked} singular vectors, and the path has {self.k}")
        if not model._take(found, complete=asked is not None or self._complete):
            raise ValueError(f"k: {model!r} needs more singular vectors than the path's {self.k} to tell its rank")
        model.__dict__.pop("interactions_", None)
        if self._interactions is not None:
            model.interactions_ = self._interactions
        return model
