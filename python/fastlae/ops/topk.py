"""The k best items of every user, from scores or straight from interactions and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _memory
from .._arrays import on_cuda
from .._backend import core_for
from .._dense import stored_weights
from .._sparse import Csr, as_csr, check_structure, is_sparse
from .._threads import resolve_threads
from .weights import check_numbers

Pair = tuple[NDArray[np.int32], NDArray[np.float32]]


def topk(
    scores: NDArray[Any], *, k: int, scale: Any = None, hidden: Any = None, columns: Any = None, num_threads: int = 0
) -> Pair:
    """The k largest scores of every row, largest first; ties go to the smaller column.

    Parameters
    ----------
    scores : ndarray, (rows, n)
        float32 or float64, rows contiguous; not changed. NaN and -inf never win.
    k : int
        At least 1. Slots that nothing fills (k larger than the candidates) hold item -1 and score -inf.
    scale : array_like, (n,), optional
        Multiplies the columns.
    hidden : sparse matrix, (rows, n), optional
        Non-zero entries are never taken.
    columns : array_like of bool, (n,), optional
        True: hidden in every row.
    num_threads : int
        0 means all that the process may use. The result is the same for any number.

    Returns
    -------
    items : ndarray of int32, (rows, k)
    scores : ndarray of float32, (rows, k)

    Examples
    --------
    >>> import numpy as np, fastlae
    >>> fastlae.ops.topk(np.array([[1.0, 3.0, 3.0]]), k=2)
    (array([[1, 2]], dtype=int32), array([[3., 3.]], dtype=float32))
    """
    threads = resolve_threads(num_threads)
    if on_cuda(scores, hidden):
        from . import device

        found: Pair = device.topk(scores, k=k, scale=scale, hidden=hidden, columns=columns)
        return found
    if not isinstance(scores, np.ndarray) or scores.ndim != 2 or scores.dtype not in (np.float32, np.float64):
        raise TypeError("scores: expected a two-dimensional NumPy array of float32 or float64")
    rows, n = scores.shape
    if scale is not None:
        scale = _vector(check_numbers(scale, "scale"), "scale", n, scores.dtype)
    if columns is not None:
        if np.asarray(columns).dtype != np.bool_:
            raise TypeError(f"columns: expected a vector of bool, got {np.asarray(columns).dtype}")
        columns = _vector(columns, "columns", n, np.uint8)
    seen = None
    if hidden is not None:
        csr = as_csr(hidden, "hidden", cols=n)
        if csr.shape[0] != rows:
            raise ValueError(f"hidden: expected {rows} rows, got {csr.shape[0]}")
        seen = csr[:2]
    return topk_checked(scores, k, scale, seen, columns, threads)


def topk_checked(scores: NDArray[Any], k: int, scale: Any, seen: Any, columns: Any, num_threads: int) -> Pair:
    """`topk` after its checks; `seen` and `columns` as `hidden_items` gives them."""
    items, best = allocate(len(scores), k)
    core_for(scores).topk(scores, scale, seen, columns, items, best, num_threads)
    return items, best


def topk_scaled(scores: NDArray[Any], k: int, scales: NDArray[Any], seen: Any, num_threads: int) -> NDArray[np.int32]:
    """The items of `topk` (scales, rows, k) for every row of `scales` (scales, n), which may hold NaN: never taken."""
    items = np.empty((len(scales), len(scores), k), np.int32)
    core_for(scores).topk_scaled(scores, scales, seen, items.reshape(-1), k, num_threads)
    return items


def slice_hidden(seen: tuple[Any, Any] | None, begin: int, end: int) -> tuple[Any, Any] | None:
    """Rows begin to end of hidden entries (indptr, indices)."""
    if seen is None:
        return None
    indptr, indices = seen
    return indptr[begin : end + 1] - indptr[begin], indices[indptr[begin] : indptr[end]]


def hidden_columns(seen: tuple[Any, Any] | None, begin: int, end: int) -> tuple[Any, Any] | None:
    """Columns begin to end of hidden entries (indptr, indices), renamed to start at 0."""
    if seen is None:
        return None
    indptr, indices = seen
    inside = (indices >= begin) & (indices < end)
    before = np.concatenate([[0], np.cumsum(inside, dtype=np.int64)])
    return before[indptr], indices[inside] - np.int32(begin)


def recommend(
    X: Any,
    W: Any,
    *,
    k: int,
    exclude_seen: bool = True,
    items: Any = None,
    forbid: Any = None,
    num_threads: int = 0,
) -> Pair:
    """The k best items of every user by the scores X W, which are never held as a whole.

    Parameters
    ----------
    X : sparse matrix, (users, m)
        Interactions of the users to recommend to. A user without any gets no items.
    W : ndarray or sparse matrix, (m, n)
        Weights; W[i, j] carries input item i to target item j. Dense: float32, float64, float16 or bfloat16 (an
        array of ``ml_dtypes.bfloat16`` or a torch tensor on the CPU), rows contiguous; half precision is summed in
        float32. Sparse: float32 or float64; of a CSR matrix only the rows that X needs are read, other formats are
        converted by every call.
    k : int
        At least 1. Slots that nothing fills hold item -1 and score -inf.
    exclude_seen : bool
        Do not recommend what the user has (needs m = n).
    items : array_like of int, optional
        Only these items may be recommended.
    forbid : array_like of int, or sparse matrix, (users, n), optional
        Items that may not be recommended: to anybody, or per user (non-zero entries).
    num_threads : int
        0 means all that the process may use. The result is the same for any number.

    Returns
    -------
    items : ndarray of int32, (users, k)
        Best first; ties go to the smaller item.
    scores : ndarray of float32, (users, k)

    Notes
    -----
    Equivalent to ``np.argsort(-(X @ W), kind="stable")[:, :k]`` with seen items set to -inf.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, fastlae
    >>> W = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.1], [0.5, 0.1, 0.0]], dtype=np.float32)
    >>> fastlae.ops.recommend(sp.csr_matrix([[1, 0, 0]]), W, k=3)
    (array([[ 1,  2, -1]], dtype=int32), array([[ 1. ,  0.5, -inf]], dtype=float32))
    """
    threads = resolve_threads(num_threads)
    if on_cuda(X, W):
        from . import device

        found: Pair = device.recommend(X, W, k=k, exclude_seen=exclude_seen, items=items, forbid=forbid)
        return found
    if not is_sparse(W):
        W, dtype = stored_weights(W)
    elif W.ndim == 2 and W.dtype in (np.float32, np.float64):
        dtype = W.dtype
    else:
        raise TypeError(f"W: expected a matrix of float32 or float64, got {W.dtype} with {W.ndim} dimension(s)")
    csr = as_csr(X, dtype=dtype, cols=W.shape[0])
    n = W.shape[1]
    if exclude_seen and W.shape[0] != n:
        raise ValueError(f"exclude_seen: needs as many input as target items, got W of shape {W.shape}")
    seen, columns = hidden_items(csr, n, exclude_seen=exclude_seen, items=items, forbid=forbid)
    return recommend_checked(csr, W, k, seen, columns, threads)


def recommend_checked(X: Csr, W: Any, k: int, seen: Any, columns: Any, num_threads: int) -> Pair:
    """`recommend` after its checks; `seen` and `columns` as `hidden_items` gives them."""
    items, best = allocate(X.shape[0], k)
    if is_sparse(W):
        triple = _sparse_weights(W)
        core_for(best).recommend_sparse(*X[:3], triple, W.shape[1], seen, columns, items, best, num_threads)
    else:
        core_for(W).recommend(*X[:3], W, seen, columns, items, best, num_threads)
    return items, best


def _sparse_weights(W: Any) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[Any]]:
    """The three arrays of W by rows. The kernel checks the rows that it reads: all of W would cost more than a call."""
    if W.format != "csr" or W.indices.dtype != np.int32:
        check_structure(W, "W")
        W = W.tocsr()
    indptr, n = W.indptr, W.shape[1]
    if indptr.dtype != np.int32:
        indptr = indptr.astype(np.int64, copy=False)
    if len(indptr) != W.shape[0] + 1 or not 0 <= indptr[-1] <= min(len(W.indices), len(W.data)) or n >= 2**31:
        raise ValueError(f"W: the pointers (indptr) do not fit a matrix of shape {W.shape} with {len(W.data)} values")
    return indptr, W.indices[: indptr[-1]].astype(np.int32, copy=False), W.data[: indptr[-1]]


def hidden_items(
    X: Csr, n: int, *, exclude_seen: bool, items: Any, forbid: Any, never: NDArray[np.bool_] | None = None
) -> tuple[tuple[Any, Any] | None, NDArray[np.uint8] | None]:
    """What may not be recommended, as the kernels take it: rows (indptr, indices) or None, and columns or None."""
    columns = None if never is None else never.astype(np.uint8)
    per_user = None
    if items is not None:
        forbidden = np.ones(n, np.uint8)
        forbidden[_positions(items, "items", n)] = 0
        columns = forbidden if columns is None else columns | forbidden
    if is_sparse(forbid) or isinstance(forbid, Csr):
        per_user = as_csr(forbid, "forbid", cols=n)
        if per_user.shape[0] != X.shape[0]:
            raise ValueError(f"forbid: expected {X.shape[0]} rows (users), got {per_user.shape[0]}")
    elif forbid is not None:
        columns = np.zeros(n, np.uint8) if columns is None else columns
        columns[_positions(forbid, "forbid", n)] = 1
    if exclude_seen and per_user is not None:
        union = X._replace(values=None).scipy() + per_user._replace(values=None).scipy()  # values could vanish
        per_user = as_csr(union, "forbid")
    elif exclude_seen:
        per_user = X
    return (None if per_user is None else per_user[:2]), (columns if columns is not None and columns.any() else None)


def allocate(rows: int, k: int) -> Pair:
    """Arrays for the k best of `rows` rows."""
    check_count(k, "k")
    if rows * int(k) >= 2**20:  # asking the system takes longer than a user's recommendations
        _memory.require(rows * int(k) * 8, f"{k} items for each of {rows} users", "A smaller k needs less.")
    return np.empty((rows, int(k)), np.int32), np.empty((rows, int(k)), np.float32)


def check_count(value: Any, name: str) -> int:
    """`value` as an integer from 1 to what an int32 holds."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name}: expected at least 1 and less than 2**31, got {value}")
    return int(value)


def _positions(values: Any, name: str, n: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"{name}: expected a vector of item positions (integers), got {array.dtype}")
    if array.min() < 0 or array.max() >= n:
        raise ValueError(f"{name}: expected positions in 0 .. {n - 1}, got {array.min()} .. {array.max()}")
    return array.astype(np.int64)


def _vector(values: Any, name: str, n: int, dtype: Any) -> NDArray[Any]:
    array = np.ascontiguousarray(values, dtype=dtype)
    if array.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), got {array.shape}")
    return array
