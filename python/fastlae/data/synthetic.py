"""Made-up interactions with a known structure, for examples, tests and benchmarks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

# Draws made at once. Bounds the working memory to some 100 MB; part of the definition of the data, as the random
# numbers are drawn block by block.
_BLOCK = 1_000_000

# Rounds of redrawing what a user already had, after which items are drawn uniformly: a very active user has then
# exhausted the popular items of a taste, and the rest would take for ever.
_ROUNDS = 20


def make_interactions(
    n_users: int = 2000,
    n_items: int = 1000,
    n_interactions: int | None = None,
    *,
    n_groups: int = 12,
    popularity_exponent: float = 1.0,
    activity_sigma: float = 1.0,
    min_activity: int = 5,
    taste: float = 0.9,
    concentration: float = 0.1,
    seed: int | np.random.Generator = 0,
) -> sp.csr_matrix[Any]:
    """Random 0/1 interactions with planted taste groups, and long tails of popularity and activity.

    Items have a popularity p_i proportional to (r_i + 10)^-popularity_exponent, r_i = 0, 1, ... being a random
    ranking, and fall at random into groups of equal size. User u has tastes t_u over the groups, drawn from a symmetric
    Dirichlet distribution, and chooses item i of group g with probability proportional to::

        p_i * (taste * t_u[g] / P_g + 1 - taste),    P_g = sum of p_j over group g

    again and again until the wanted number of different items is reached. That number follows a log-normal
    distribution, scaled so that the total is exactly `n_interactions`. Who shares a group likes the same items, which
    is what models can learn beyond popularity.

    Parameters
    ----------
    n_users, n_items : int
        Shape of the result.
    n_interactions : int, optional
        Stored values, at most half of all cells. By default 50 a user, or a fifth of the items if that is less.
    n_groups : int
        From 1 (nothing to learn beyond popularity) to `n_items`.
    popularity_exponent : float
        0: all items are equally popular; 1: a long tail; at most 10.
    activity_sigma : float
        Standard deviation of the logarithm of the users' activity, 0 (all are equally active) to 5.
    min_activity : int
        Every user has at least this many items, or the mean number if that is less; at most half of the items.
    taste : float
        Share of the choices that follow the user's taste, the rest following popularity alone; 0 to 1.
    concentration : float
        Of the Dirichlet distribution, 0.01 to 1e6; small: a user has one or two groups, large: a little of all.
    seed : int or numpy.random.Generator
        The same seed gives the same data.

    Returns
    -------
    csr_matrix of float32, (n_users, n_items)
        Ones, with sorted column indices.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was got and what is expected.

    Notes
    -----
    Time and memory grow with `n_interactions`: the shape of MovieLens 20M, 136,677 x 20,108 with 10 million, takes
    seconds and less than 1 GB.

    Equivalent to, for one user with m items, ``rng.choice(n_items, m, replace=False, p=p_user)``, until the popular
    items of a very active user run out.

    Examples
    --------
    >>> import fastlae
    >>> X = fastlae.data.make_interactions(n_users=300, n_items=100, n_interactions=4000)
    >>> X.shape, X.nnz, X.dtype
    ((300, 100), 4000, dtype('float32'))
    """
    n_users = _integer(n_users, "n_users", 1)
    n_items = _integer(n_items, "n_items", 2)
    n_groups = _integer(n_groups, "n_groups", 1)
    min_activity = _integer(min_activity, "min_activity", 0)
    most = n_items // 2
    if n_interactions is None:
        n_interactions = n_users * max(1, min(50, n_items // 5))
    n_interactions = _integer(n_interactions, "n_interactions", 1)
    if n_groups > n_items:
        raise ValueError(f"n_groups: expected at most n_items = {n_items}, got {n_groups}")
    if n_interactions > n_users * most:
        raise ValueError(f"n_interactions: expected at most half of the cells, {n_users * most}, got {n_interactions}")
    _real(popularity_exponent, "popularity_exponent", 0, 10)
    _real(activity_sigma, "activity_sigma", 0, 5)
    _real(taste, "taste", 0, 1)
    _real(concentration, "concentration", 1e-2, 1e6)
    rng = np.random.default_rng(seed)

    by_group = rng.permutation(n_items)  # items in the order of their groups
    first = np.arange(n_groups + 1) * n_items // n_groups  # where a group begins in that order
    popularity = (rng.permutation(n_items) + 10.0) ** -popularity_exponent
    popularity /= popularity.sum()
    cumulative = np.concatenate([[0.0], np.cumsum(popularity)])
    group_popularity = np.diff(cumulative[first])
    tastes = taste * rng.dirichlet(np.full(n_groups, concentration), n_users) + (1 - taste) * group_popularity
    # One ascending table for all users: u + the chance of the groups up to g. The last of a row is exactly u + 1.
    chances = np.cumsum(tastes, axis=1)
    table = (np.arange(n_users)[:, None] + np.minimum(chances / chances[:, -1:], 1.0)).ravel()

    def draw(users: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(table, users + rng.random(len(users)), side="right")
        group = np.clip(at - users * n_groups, 0, n_groups - 1)  # u + random may round up to the next user
        low, high = cumulative[first[group]], cumulative[first[group + 1]]
        item = np.searchsorted(cumulative, low + (high - low) * rng.random(len(users)), side="right") - 1
        chosen: NDArray[np.int64] = by_group[np.clip(item, first[group], first[group + 1] - 1)]
        return chosen

    activity = _activity(n_users, n_interactions, activity_sigma, min(min_activity, most), most, rng)
    indptr = np.concatenate([[0], np.cumsum(activity)])
    indices = np.empty(n_interactions, np.int32)
    begin = 0
    while begin < n_users:
        end = max(begin + 1, int(np.searchsorted(indptr, indptr[begin] + _BLOCK, side="right")) - 1)
        wanted = activity[begin:end]
        cells = np.empty(0, np.int64)  # user * n_items + item, ascending
        for attempt in itertools.count():
            have = np.bincount(cells // n_items, minlength=end - begin)
            users = np.repeat(np.arange(end - begin), wanted - have)
            if len(users) == 0:
                break
            items = draw(users + begin) if attempt < _ROUNDS else rng.integers(0, n_items, len(users))
            cells = np.sort(np.concatenate([cells, users * n_items + items]))
            cells = cells[np.concatenate([[True], cells[1:] != cells[:-1]])]
        indices[indptr[begin] : indptr[end]] = cells % n_items
        begin = end
    return sp.csr_matrix((np.ones(n_interactions, np.float32), indices, indptr), shape=(n_users, n_items))


def _activity(
    n_users: int, total: int, sigma: float, low: int, high: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Log-normal numbers of items from `low` to `high` that add up to `total`."""
    low = min(low, total // n_users)
    raw = rng.lognormal(0.0, sigma, n_users)
    small, large = 0.0, high / raw.min()
    for _ in range(200):  # the sum grows with the scale: halve the interval until it is a point
        scale = (small + large) / 2
        if np.clip(raw * scale, low, high).sum() < total:
            small = scale
        else:
            large = scale
    exact = np.clip(raw * large, low, high)
    activity: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    missing = total - int(activity.sum())
    # Largest remainders first; users at the top have none to give.
    order = np.argsort(-np.where(activity < high, exact - activity, -1.0), kind="stable")
    activity[order[:missing]] += 1
    return activity


def _integer(value: Any, name: str, low: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name}: expected at least {low}, got {value}")
    return int(value)


def _real(value: Any, name: str, low: float, high: float) -> None:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not (low <= value <= high and np.isfinite(value)):
        raise ValueError(f"{name}: expected a finite number from {low} to {high}, got {value}")
