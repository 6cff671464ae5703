"""Spectral filters: what the nuclear-norm models do to singular values.

With X = U Σ V^T, σ descending, each of these models is W = V f(σ) V^T for users that were not trained on. The names
and numbers in brackets are those of the paper "On the regularization landscape for the linear recommendation models".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def tikhonov_filter(sigma: Any, weights: Any) -> Vector:
    """F = σ² / (σ² + λ), of LRR (6); 0 where σ is 0.

    Parameters
    ----------
    sigma : array_like, (k,)
        Singular values.
    weights : float or array_like, (k,)
        λ, one for all or one each.

    Returns
    -------
    ndarray of float64, (k,)

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.tikhonov_filter([3.0, 1.0, 0.0], 1.0)
    array([0.9, 0.5, 0. ])
    """
    squared = np.asarray(sigma, np.float64) ** 2
    result: Vector = np.divide(squared, squared + weights, out=np.zeros_like(squared), where=squared > 0)
    return result


def shrinkage_filter(sigma: Any, weights: Any) -> Vector:
    """F = (σ - ω)₊ / σ, of the nuclear norm and of its weighted form; 0 where σ is 0.

    Parameters
    ----------
    sigma : array_like, (k,)
        Singular values.
    weights : float or array_like, (k,)
        ω: what a singular value is shrunk by, one for all or one each.

    Returns
    -------
    ndarray of float64, (k,)

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.shrinkage_filter([4.0, 2.0, 1.0], [1.0, 1.0, 3.0])
    array([0.75, 0.5 , 0.  ])
    """
    sigma = np.asarray(sigma, np.float64)
    result: Vector = np.divide(np.maximum(sigma - weights, 0.0), sigma, out=np.zeros_like(sigma), where=sigma > 0)
    return result


def lae_filter(sigma: Any, weights: Any) -> Vector:
    """F = (1 - λ/σ²)₊, of the weighted linear autoencoder WLAE (2); 0 where σ is 0.

    Parameters
    ----------
    sigma : array_like, (k,)
        Singular values.
    weights : float or array_like, (k,)
        λ, one for all or one each.

    Returns
    -------
    ndarray of float64, (k,)

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.lae_filter([2.0, 1.0, 0.5], 1.0)
    array([0.75, 0.  , 0.  ])
    """
    sigma = np.asarray(sigma, np.float64)
    ratio = np.divide(weights, sigma**2, out=np.full_like(sigma, np.inf), where=sigma > 0)
    result: Vector = np.maximum(1.0 - ratio, 0.0)
    return result


def dropout_threshold(sigma: Any, keep: float) -> tuple[float, int]:
    """The shrinkage μ that dropout of factors induces, and the rank d that is left (47).

    ``μ = (1-θ) / (θ + (1-θ) d) Σ_{i<=d} σ_i``, d the largest number with σ_d > μ.

    Parameters
    ----------
    sigma : array_like, (k,)
        Singular values, descending. If the rank equals k < min(X.shape), more of them could be kept: the result is
        right only if the next one is at most μ.
    keep : float
        θ in (0, 1], the probability that a factor is kept; 1 means no shrinkage.

    Returns
    -------
    threshold : float
    rank : int

    Examples
    --------
    >>> import fastlae
    >>> threshold, rank = fastlae.ops.spectral.dropout_threshold([6.0, 3.0, 1.0], 0.8)
    >>> round(threshold, 6), rank
    (1.5, 2)
    """
    sigma = np.asarray(sigma, np.float64)
    d = np.arange(1, len(sigma) + 1)
    mu = (1.0 - keep) / (keep + (1.0 - keep) * d) * np.cumsum(sigma)
    rank = int(np.count_nonzero(sigma > mu))  # those that are kept come first
    return (float(mu[rank - 1]) if rank else 0.0), rank


def power_threshold(sigma: Any, l2: float, p: float) -> float:
    """The shrinkage μ of the regularizer l2 ‖W‖_*^p (Lemma 2): the root of ``μ = (l2 p/2) (Σ (σ - μ)₊)^{p-1}``.

    Parameters
    ----------
    sigma : array_like, (k,)
        Singular values, descending. If the last one is above μ and more exist, the result is too small.
    l2 : float
        λ'.
    p : float
        At least 1.

    Returns
    -------
    float

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.power_threshold([5.0, 1.0], 2.0, 1.0)
    1.0
    >>> round(fastlae.ops.spectral.power_threshold([4.0, 1.0], 1.0, 2.0), 12)
    2.0
    """
    sigma = np.asarray(sigma, np.float64)
    strength = l2 * p / 2.0
    if strength == 0 or not len(sigma):
        return 0.0
    if p == 1:
        return strength
    # The right side falls and the left side rises in μ, so there is one root; it lies below σ_1.
    low, high = 0.0, float(sigma[0])
    while high - low > 4 * np.finfo(float).eps * high:
        mu = 0.5 * (low + high)
        if mu > strength * np.maximum(sigma - mu, 0.0).sum() ** (p - 1.0):
            high = mu
        else:
            low = mu
    return 0.5 * (low + high)


def tikhonov_from_shrinkage(sigma: Any, weights: Any) -> Vector:
    """Proposition 1 (29): λ_i = σ_i² ω_i / (σ_i - ω_i), with which LRR equals the weighted nuclear norm; inf if ω >= σ.

    Parameters
    ----------
    sigma, weights : array_like, (k,)
        Singular values σ and shrinkages ω.

    Returns
    -------
    ndarray of float64, (k,)

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.tikhonov_from_shrinkage([2.0], [1.0])
    array([4.])
    """
    sigma, weights = np.broadcast_arrays(np.asarray(sigma, np.float64), np.asarray(weights, np.float64))
    left = sigma - weights
    result: Vector = np.divide(sigma**2 * weights, left, out=np.full(left.shape, np.inf), where=left > 0)
    return result


def shrinkage_from_tikhonov(sigma: Any, weights: Any) -> Vector:
    """The inverse of `tikhonov_from_shrinkage`: ω_i = σ_i λ_i / (σ_i² + λ_i).

    Parameters
    ----------
    sigma, weights : array_like, (k,)
        Singular values σ and Tikhonov weights λ.

    Returns
    -------
    ndarray of float64, (k,)

    Examples
    --------
    >>> import fastlae
    >>> fastlae.ops.spectral.shrinkage_from_tikhonov([2.0], [4.0])
    array([1.])
    """
    sigma, weights = np.broadcast_arrays(np.asarray(sigma, np.float64), np.asarray(weights, np.float64))
    below = sigma**2 + weights
    result: Vector = np.divide(sigma * weights, below, out=np.zeros(below.shape), where=below > 0)
    return result
