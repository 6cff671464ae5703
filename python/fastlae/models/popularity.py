"""The baseline: what most users have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._sparse import as_csr
from .._threads import resolve_threads
from ..ops.topk import hidden_items, slice_hidden, topk_checked
from .base import Recommender
from .inverse import row_blocks


class Popularity(Recommender):
    """Score every item by the number of users who have it: the baseline that a model must beat.

    Parameters
    ----------
    num_threads : int, keyword-only
        0 means all that the process may use.

    Attributes
    ----------
    counts_ : ndarray of float64, (items,)

    Examples
    --------
    >>> import scipy.sparse as sp, fastlae
    >>> X = sp.csr_matrix([[1, 1, 0], [0, 1, 1], [0, 0, 0]])
    >>> fastlae.Popularity().fit(X).recommend(X, k=2)[0]
    array([[ 2, -1],
           [ 0, -1],
           [ 1,  0]], dtype=int32)
    """

    def __init__(self, *, num_threads: int = 0) -> None:
        self.num_threads = num_threads

    def _fit(self, X: Any) -> None:
        csr = as_csr(X, nonnegative=True)
        self.counts_ = csr.item_counts()

    def _score(self, X: Any) -> NDArray[np.float32]:
        self._check_fitted("counts_")
        csr = as_csr(X, cols=len(self.counts_))
        _memory.require(4 * csr.shape[0] * csr.shape[1], f"scores of shape {csr.shape}", "Score fewer users at a time.")
        return np.tile(self.counts_.astype(np.float32), (csr.shape[0], 1))

    def _recommend(
        self, X: Any, k: int, exclude_seen: bool, items: Any, forbid: Any
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self._check_fitted("counts_")
        csr = as_csr(X, cols=len(self.counts_))
        seen, columns = hidden_items(
            csr, csr.shape[1], exclude_seen=exclude_seen, items=items, forbid=forbid, never=self.counts_ == 0
        )
        threads = resolve_threads(self.num_threads)
        counts = self.counts_.astype(np.float32)
        parts = []
        for begin, end in row_blocks(csr.shape[0], csr.shape[1], 4) or [(0, 0)]:
            block = np.broadcast_to(counts, (end - begin, len(counts))).copy()
            parts.append(topk_checked(block, k, None, slice_hidden(seen, begin, end), columns, threads))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        self._check_fitted("counts_")
        return {"counts": self.counts_}, {}

    def _restore(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        self.counts_ = arrays["counts"]
