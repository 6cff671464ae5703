"""The full-rank linear autoencoders: what is Lambda, and what are alpha and beta; see linear.py for all the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops.weights import Diagonals, check_deql, check_number, deql_diagonals, deql_ridge
from .linear import LinearAutoencoder

Vector = NDArray[np.float64]

_COMMON = """
    user_power : float
        gamma: user u weighs n_u**-gamma in the Gram matrix (n_u: number of the user's items), rescaled to mean 1 over
        users with items. 0 weighs all users alike; 0.5 often ranks better.
    popularity_power : float
        delta: the score of item j is multiplied by d_j**delta (d: diagonal of the Gram matrix).
    form : "auto", "items" or "users"
        Invert an items x items or a users x users matrix. The results agree; the cost is the cube of one or the other.
        "auto" takes the cheaper one that fits in memory.
    storage : "auto", "full", "packed" or "disk"
        Of the inverse. Packed, only its lower triangle is kept: half the memory, the same numbers; the weights are then
        made where they are needed, so recommending takes longer. "auto" packs what would not fit otherwise. "disk" is
        packed in a temporary file (TMPDIR), for what does not fit even so; the time it will take is logged first.
    dtype : "float32" or "float64"
    num_threads : int
        0 means all that the process may use.
    device : None, "cpu", "cuda" or "cuda:0"
        Where to compute. None: where the interactions are. On a CUDA device (which needs torch or CuPy) there is the
        items form in full storage; `save` and `load` go through the host, and `to` moves a model.
"""

_ATTRIBUTES = """
    Attributes
    ----------
    weights_ : ndarray, (items, items)
        W[i, j] carries input item i to target item j; scores are X W. With the users form it is computed at the first
        access. A CSR matrix after `sparsify`.
    form_ : "items", "users" or "sparse"
        What the model holds.
    storage_ : "full" or "packed"
        How it holds it.
    item_counts_ : ndarray of float64, (items,)
        d, the diagonal of the Gram matrix. An item that nobody touched has 0 here, weights 0, score 0, and is never
        recommended.
"""


class LAE(LinearAutoencoder):
    __doc__ = f"""Linear autoencoder with an L2 penalty and a free diagonal: W = I - C Lambda.

    Parameters
    ----------
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.LAE(l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)

    def _diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        return Diagonals(np.ones_like(c), -ridge)


class EASE(LinearAutoencoder):
    __doc__ = f"""EASE (Steck 2019): linear autoencoder with an L2 penalty and a zero diagonal, W = I - C diag(1/c).

    Parameters
    ----------
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.EASE(l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)

    def _diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        return Diagonals(np.ones_like(c), -1.0 / c)


class DLAE(LAE):
    __doc__ = f"""DLAE (Steck 2020): linear denoising autoencoder, LAE with Lambda = p/q d + l2 (q = 1 - p).

    Kept inputs are scaled up by 1/q in training and not at all in scoring, so W has no factor 1/q, as in Steck's papers
    and unlike `DEQL`; with one p for all items the ranking is the same.

    Parameters
    ----------
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
    >>> fastlae.DLAE(l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self.dropout = dropout
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)


class EDLAE(EASE):
    __doc__ = f"""EDLAE (Steck 2020): DLAE with a zero diagonal, so that no item explains itself; Lambda = p/q d + l2.

    Parameters
    ----------
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
    >>> fastlae.EDLAE(l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self.dropout = dropout
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)


class RLAE(LinearAutoencoder):
    __doc__ = f"""RLAE (Moon et al. 2023): LAE whose diagonal may not exceed xi; between EASE (xi = 0) and LAE (xi = 1).

    Parameters
    ----------
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    xi : float
        The largest value that a weight on the diagonal may have.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.RLAE(l2=1.0, xi=0.1).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        xi: float = 0.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self.xi = xi
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)

    def _check(self, n: int) -> None:
        super()._check(n)
        check_number(self.xi, "xi")

    def _diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        multiplier = np.maximum(0.0, (1.0 - self.xi) / c - ridge)
        return Diagonals(np.ones_like(c), -(ridge + multiplier))


class RDLAE(RLAE):
    __doc__ = f"""RDLAE (Moon et al. 2023): DLAE whose diagonal may not exceed xi.

    Parameters
    ----------
    l2 : float or array_like, (items,)
        lambda, the strength of the L2 penalty; one for all items, or one each.
    dropout : float or array_like, (items,)
        p, the probability that an input entry is dropped; one for all items, or one each.
    xi : float
        The largest value that a weight on the diagonal may have.
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.RDLAE(l2=1.0, xi=0.1).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: Any = 100.0,
        dropout: Any = 0.5,
        xi: float = 0.0,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self.dropout = dropout
        self.xi = xi
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)


class DEQL(LinearAutoencoder):
    __doc__ = f"""DEQL: linear autoencoder under the decoupled expected quadratic loss.

    Minimises E ||A * (X - (Delta * X) W)||^2 + l2 ||W||^2 over dropout masks Delta, where A weighs an entry a if it was
    dropped and b if it was kept (DEQL paper, (5) and (14)); with `zero_diagonal` subject to diag W = 0 (15). Solved in
    closed form: one inverse, then a 2 x 2 system per item. a = b is DLAE, b = 0 is EDLAE, both up to the factor
    1/(1 - p).

    Parameters
    ----------
    l2 : float
        lambda; the inverse sees lambda/g, g = q^2 (p a^2 + q b^2). Must be 0 with a dropout per item.
    dropout : float or array_like, (items,)
        p, the probability that an input entry is dropped; one for all items, or one each.
    a, b : float
        Weights of dropped and of kept entries; the loss has their squares. Only b/a matters at l2 = 0. With b = 0 and
        l2 = 0 the diagonal is free, and zero is taken (Theorem 3.4).
    zero_diagonal : bool
    {_COMMON.strip()}

    {_ATTRIBUTES.strip()}

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    >>> fastlae.DEQL(l2=1.0).fit(X).recommend(X[:2], k=1)[0]
    array([[2],
           [0]], dtype=int32)
    """

    def __init__(
        self,
        *,
        l2: float = 100.0,
        dropout: Any = 0.5,
        a: float = 1.0,
        b: float = 0.25,
        zero_diagonal: bool = False,
        user_power: float = 0.0,
        popularity_power: float = 0.0,
        form: str = "auto",
        storage: str = "auto",
        dtype: Any = "float32",
        num_threads: int = 0,
        device: str | None = None,
    ) -> None:
        self.l2 = l2
        self.dropout = dropout
        self.a = a
        self.b = b
        self.zero_diagonal = zero_diagonal
        self._set_common(user_power, popularity_power, form, storage, dtype, num_threads, device)

    def _check(self, n: int) -> None:
        check_deql(l2=self.l2, dropout=self.dropout, a=self.a, b=self.b)
        super()._check(n)

    def _ridge(self, d: Vector) -> Vector:
        return deql_ridge(d, l2=self.l2, dropout=self.dropout, a=self.a, b=self.b)

    def _diagonals(self, c: Vector, d: Vector, ridge: Vector) -> Diagonals:
        return deql_diagonals(
            c, d, ridge, l2=self.l2, dropout=self.dropout, a=self.a, b=self.b, zero_diagonal=self.zero_diagonal
        )
