"""The ops for arrays on CUDA devices: `fastlae.ops` comes here when it is given one. Docstrings are there.

The result is an array of the input's library on its device. Work is queued on that library's current stream; what waits
for the device is said here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._arrays import DeviceCsr, Place, device_csr, on_cuda, on_their_device, place_of
from .._backend import cuda
from .._packed import PackedSymmetric
from .._sparse import Csr, is_sparse
from ..errors import NotPositiveDefiniteError
from .implicit_slim import solve_semidefinite
from .knn_graph import SETS, similarity_terms
from .topk import check_count, hidden_items
from .weights import Diagonals, check_numbers

_log = logging.getLogger("fastlae")
BLOCK_BYTES = 1e9  # of dense scores at a time
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_SYMMETRY = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-10}


def _place(*arrays: Any) -> Place:
    place = place_of(*arrays)
    assert place is not None, "called for arrays on a CUDA device only"
    return place


def _dtype(array: Any, name: str, place: Place, *, dtype: Any = None, shape: tuple[int, ...] | None = None) -> Any:
    """The dtype of a floating array on the device; it must be `dtype` and have `shape` if they are given."""
    if not on_cuda(array) or isinstance(array, DeviceCsr):
        raise TypeError(f"{name}: expected an array on CUDA device {place.device}, got {type(array).__name__}")
    found = place.library.dtype(array)
    if found not in ((dtype,) if dtype else _FLOATS):
        raise TypeError(f"{name}: expected {dtype or 'float32 or float64'}, got {array.dtype}")
    if shape is not None and tuple(array.shape) != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(array.shape)}")
    return found


def _square(array: Any, name: str, place: Place, **expected: Any) -> Any:
    dtype = _dtype(array, name, place, **expected)
    if len(array.shape) != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {tuple(array.shape)}")
    return dtype


NO_HEAD = -1  # csrc/include/fastlae/cuda/gram.hpp
HEAD_BY_COST = 0


@on_their_device
def gram(
    X: Any, *, user_weights: Any, dtype: Any, out: Any, packed: bool = False, head_items: int = HEAD_BY_COST
) -> Any:
    """X^T diag(w) X; waits once, for the check of an X that is on the device already.

    `head_items` says how many of the most popular items are multiplied on tensor cores (at least; tests ask for some).
    """
    if packed or isinstance(out, PackedSymmetric):
        raise ValueError("packed: not on a CUDA device; the CPU has packed matrices")
    place = _place(X, out)
    dtype = _gram_dtype(X, dtype, place) if out is None else _dtype(out, "out", place, dtype=dtype)
    csr = device_csr(X, place, dtype=dtype)
    users, items = csr.shape
    weights = None
    if user_weights is not None:
        if on_cuda(user_weights):
            _dtype(user_weights, "user_weights", place, dtype=np.dtype(np.float64), shape=(users,))
            weights = user_weights
            head_items = NO_HEAD  # which takes weights of at least 0, and these have not been looked at
        else:
            host = check_numbers(user_weights, "user_weights")
            if host.shape != (users,):
                raise ValueError(f"user_weights: expected shape ({users},), got {host.shape}")
            if (host < 0).any():
                raise ValueError("user_weights: expected finite, non-negative numbers")
            weights = place.from_host(host, np.float64)
    size = cuda().gram_workspace(users, items, csr.nnz)
    if out is None:
        place.require(
            items * items * dtype.itemsize + size,
            f"a Gram matrix of {items} items",
            "Fewer items need less (n squared).",
        )
        out = place.empty((items, items), dtype)
    elif tuple(out.shape) != (items, items):
        raise ValueError(f"out: expected shape ({items}, {items}), got {tuple(out.shape)}")
    cuda().gram(csr.indptr, csr.indices, csr.values, weights, out, head_items, place.workspace(size), place.stream)
    return out


def _gram_dtype(X: Any, dtype: Any, place: Place) -> Any:
    if dtype is not None:
        return np.dtype(dtype)
    values = X.values if isinstance(X, DeviceCsr) else X
    return _FLOATS[1] if values is not None and place.library.dtype(values) == np.float64 else _FLOATS[0]


@on_their_device
def spd_inverse(a: Any, *, overwrite_a: bool, out: Any, tensor_cores: bool, refine: bool) -> Any:
    """A^-1; waits twice: for the check of `a`, and for whether the factorisation succeeded; with `refine` once more."""
    place = _place(a, out)
    dtype = _square(a, "a", place)
    n = int(a.shape[0])
    if out is not None:
        _dtype(out, "out", place, dtype=dtype, shape=(n, n))
    elif overwrite_a:
        out = a
    else:
        place.require(
            n * n * dtype.itemsize + _inverse_bytes(n, dtype, tensor_cores),
            f"the inverse of a matrix of order {n}",
            "overwrite_a=True needs no second matrix.",
        )
        out = place.empty((n, n), dtype)
    if out is not a:
        out[...] = a
    if refine and out is a:
        raise ValueError("refine: needs `a` beside its inverse, so neither overwrite_a nor out=a")
    check_symmetric(out, "a", place)
    invert_in_place(out, tensor_cores=tensor_cores)
    if refine:
        _log.info("inverse of order %d: largest |1 - a c| before the refinement %.1e", n, _refine(a, out, place))
    return out


def _refine(a: Any, c: Any, place: Place) -> float:
    """A step of Newton's method from c towards the inverse of `a`; the largest residual before it."""
    n, dtype = int(c.shape[0]), place.library.dtype(c)
    size = cuda().refine_inverse_workspace(n, dtype.itemsize)
    place.require(size, f"refining an inverse of order {n}", "refine=False needs less.")
    worst = place.empty(1, np.float64)
    cuda().refine_inverse(a, c, worst, place.workspace(size), place.stream)
    return float(place.number(worst))


@on_their_device
def inverse_residual(a: Any, c: Any, picks: Any) -> float:
    """The largest entry of |1 - a c| in some columns; waits."""
    place = _place(a, c)
    dtype = _square(a, "a", place)
    _dtype(c, "c", place, dtype=dtype, shape=tuple(a.shape))
    columns = place.from_host(picks, np.int64)
    reached = product(a, place.library.contiguous(c[:, columns]))
    reached[columns, place.from_host(np.arange(len(picks)), np.int64)] -= 1
    return float(np.abs(place.library.to_host(reached)).max())


@on_their_device
def product(a: Any, b: Any, *, transpose_a: bool = False) -> Any:
    """Dense op(a) b, in the arrays' own type, whatever the library's settings; does not wait."""
    place = _place(a, b)
    dtype = _dtype(a, "a", place)
    _dtype(b, "b", place, dtype=dtype)
    out = place.empty((int(a.shape[1 if transpose_a else 0]), int(b.shape[1])), dtype)
    cuda().product(a, b, out, transpose_a, False, place.stream)
    return out


@on_their_device
def check_symmetric(a: Any, name: str, place: Place) -> None:
    """Refuse what is not finite or not symmetric; waits."""
    worst = place.empty(1, np.float64)
    cuda().asymmetry(a, worst, place.stream)
    skew = float(place.number(worst))
    if np.isnan(skew):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    if skew > _SYMMETRY[place.library.dtype(a)]:
        raise ValueError(f"{name}: expected a symmetric matrix; [i, j] and [j, i] differ by {skew:.1e} of the diagonal")


def _inverse_bytes(n: int, dtype: Any, tensor_cores: bool) -> int:
    return int(cuda().spd_inverse_workspace(n, cuda().inverse_tile(n), dtype.itemsize, tensor_cores))


@on_their_device
def invert_in_place(a: Any, *, tensor_cores: bool = False) -> None:
    """`spd_inverse` over `a` itself, for a matrix that is known to be finite and symmetric; waits once."""
    place = _place(a)
    dtype, n = place.library.dtype(a), int(a.shape[0])
    if tensor_cores and dtype != np.float32:
        raise ValueError(f"tensor_cores: for float32 only, got {dtype}")
    if tensor_cores and not cuda().cublas_version():
        raise ValueError("tensor_cores: needs cuBLAS, which was not found (torch and nvidia-cublas bring it)")
    size = _inverse_bytes(n, dtype, tensor_cores)
    place.require(size, f"inverting a matrix of order {n}", "Smaller matrices need less.")
    info = place.empty(1, np.int32)
    cuda().spd_inverse(a, cuda().inverse_tile(n), info, tensor_cores, place.workspace(size), place.stream)
    row = int(place.number(info))
    if row >= 0:
        raise NotPositiveDefiniteError.at(row)


@on_their_device
def diagonal(a: Any) -> Any:
    """The diagonal of a square matrix, as NumPy's float64; waits."""
    place = _place(a)
    return place.library.to_host(a.diagonal()).astype(np.float64)


@on_their_device
def add_to_diagonal(a: Any, numbers: Any) -> None:
    """Numbers of the host onto the diagonal of a contiguous matrix."""
    place = _place(a)
    view = a.reshape(-1)[:: a.shape[0] + 1]
    view += place.from_host(numbers, place.library.dtype(a))


@on_their_device
def symmetric(C: Any, name: str) -> Any:
    """Check C, and its diagonal as NumPy's float64; waits."""
    place = _place(C)
    _square(C, name, place)
    check_symmetric(C, name, place)
    return diagonal(C)


@on_their_device
def diagonal_weights(C: Any, diagonals: Diagonals, *, out: Any) -> Any:
    """W = diag(r) (diag(alpha) + C diag(beta)), in place if `out` is `C`; does not wait."""
    place = _place(C, out)
    dtype = _square(C, "C", place)
    if out is None:
        place.require(
            C.shape[0] ** 2 * dtype.itemsize, f"a weight matrix of order {C.shape[0]}", "out=C writes over the inverse."
        )
        out = place.empty(tuple(C.shape), dtype)
    else:
        _dtype(out, "out", place, dtype=dtype, shape=tuple(C.shape))
    vectors = [None if v is None else place.from_host(v, np.float64) for v in diagonals]
    cuda().diagonal_weights(C, *vectors, out, place.stream)
    return out


@on_their_device
def miller_update(H0_inv: Any, V: Any, E1: Any, E2: Any) -> Any:
    """The general rank-two updates; waits for the check of H0_inv."""
    place = _place(H0_inv, V, E1, E2)
    dtype = _square(H0_inv, "H0_inv", place)
    shape = tuple(H0_inv.shape)
    for name, array in (("V", V), ("E1", E1), ("E2", E2)):
        _dtype(array, name, place, dtype=dtype, shape=shape)
    check_symmetric(H0_inv, "H0_inv", place)
    place.require(
        2 * shape[0] ** 2 * dtype.itemsize, f"the updates of order {shape[0]}", "deql_weights needs no further memory."
    )
    out, work = place.empty(shape, dtype), place.empty(shape, dtype)
    cuda().miller_update(H0_inv, V, E1, E2, out, work, place.stream)
    return out


@on_their_device
def score(X: Any, W: Any, *, out: Any = None) -> Any:
    """X W; waits once, for the check of an X that is on the device already."""
    place = _place(X, W, out)
    if isinstance(W, DeviceCsr):
        return score_sparse(device_csr(X, place, dtype=W.dtype, cols=W.shape[0]), W, W.dtype)
    dtype = _matrix(W, place)
    csr = device_csr(X, place, dtype=dtype, cols=int(W.shape[0]))
    shape = (csr.shape[0], int(W.shape[1]))
    if out is None:
        place.require(
            shape[0] * shape[1] * dtype.itemsize,
            f"scores of shape {shape}",
            "Score fewer users at a time, or recommend().",
        )
        out = place.empty(shape, dtype)
    else:
        _dtype(out, "out", place, dtype=dtype, shape=shape)
    cuda().score(csr.indptr, csr.indices, csr.values, W, out, place.stream)
    return out


@on_their_device
def score_sparse(X: DeviceCsr, W: DeviceCsr, dtype: Any) -> Any:
    """X W for a sparse W, dense; does not wait."""
    place, shape = X.place, (X.shape[0], W.shape[1])
    place.require(
        shape[0] * shape[1] * dtype.itemsize, f"scores of shape {shape}", "Score fewer users at a time, or recommend()."
    )
    out = place.empty(shape, dtype)
    cuda().score_sparse(*X[:3], tuple(W[:3]), out, place.stream)
    return out


@on_their_device
def quadratic_diagonal(X: DeviceCsr, M: Any) -> Any:
    """The diagonal of X M X^T for a symmetric M, as NumPy's float64; waits."""
    out = X.place.empty(X.shape[0], np.float64)
    cuda().quadratic_diagonal(*X[:3], M, out, X.place.stream)
    return X.library.to_host(out)


@on_their_device
def gram_product(E: Any, X: Any, ridge: Any, *, out: Any) -> Any:
    """(X^T X + diag(ridge)) E; sums in an order that differs between runs."""
    place = _place(E, X, out)
    dtype = _matrix(E, place)
    csr = device_csr(X, place, dtype=dtype, cols=int(E.shape[0]))
    shape = (int(E.shape[0]), int(E.shape[1]))
    if out is None:
        place.require(shape[0] * shape[1] * dtype.itemsize, f"a product of shape {shape}", "Fewer columns need less.")
        out = place.empty(shape, dtype)
    else:
        _dtype(out, "out", place, dtype=dtype, shape=shape)
    diagonal = None
    if np.any(ridge):
        diagonal = place.from_host(np.broadcast_to(ridge, shape[0]), dtype)
    cuda().gram_product(csr.indptr, csr.indices, csr.values, E, diagonal, out, place.stream)
    return out


@on_their_device
def nearest_neighbours(X: Any, *, k: int, metric: str, shrink: float, alpha: float) -> Any:
    """The k most similar items of every item; waits for X, whose sums are made on the host."""
    place = _place(X)
    csr = device_csr(X, place, dtype=_gram_dtype(X, None, place), nonnegative=True)
    if metric in SETS:
        csr = csr._replace(values=None)
    n = csr.shape[1]
    by_item = csr.transpose()
    host = csr.to_host()
    terms = similarity_terms(host.transpose(), host, metric, alpha)
    columns, indptr = place.from_host(terms.columns, np.float64), place.library.to_host(by_item.indptr)
    step = max(1, min(8192, int(BLOCK_BYTES / max(1, n * 4))))
    items, best, _ = _allocate(n, n, k, 4, place)
    size = min(n, step) * n * 4 + cuda().similarities_workspace(min(n, step), n)
    place.require(size, f"similarities of {min(n, step)} items", "Fewer items need less.")
    for begin in range(0, n, step):
        end = min(n, begin + step)
        block = place.empty((end - begin, n), np.float32)
        rows = place.from_host(terms.rows[begin:end], np.float64)
        room = place.workspace(cuda().similarities_workspace(end - begin, n))
        cuda().similarities(
            by_item.rows(begin, end, indptr)[:3],
            csr[:3],
            rows,
            columns,
            terms.product,
            terms.overlap,
            float(shrink),
            begin,
            block,
            room,
            place.stream,
        )
        workspace = place.workspace(cuda().topk_workspace(end - begin, n, k, 4))  # few rows need more than many
        cuda().topk(block, None, None, None, items[begin:end], best[begin:end], workspace, place.stream)
    return items, best


def neighbour_lists(items: Any, best: Any) -> tuple[Any, Any]:
    """Lists of neighbours in host memory, each ordered by item."""
    place = _place(items)
    found, values = place.library.to_host(items), place.library.to_host(best)
    order = np.argsort(np.where(found < 0, np.iinfo(np.int32).max, found), axis=1, kind="stable")
    return np.take_along_axis(found, order, 1), np.take_along_axis(values, order, 1)


@on_their_device
def implicit_slim(E: Any, X: Any, alpha: float, parts: Any) -> Any:
    """ImplicitSLIM on the device, matrices of order dim being solved on the host; see `ops.implicit_slim`.

    `parts` is a function of the matrix in host memory, for which X comes over once.
    """
    place = _place(E, X)
    dtype = _matrix(E, place)
    csr = device_csr(X, place, dtype=dtype, cols=int(E.shape[0]))
    ridge, scale, kept = parts(csr.to_host())
    return implicit_slim_checked(E, csr, ridge, scale, alpha, kept)


@on_their_device
def implicit_slim_checked(E: Any, X: DeviceCsr, ridge: Any, scale: Any, alpha: float, kept: Any) -> Any:
    """`implicit_slim` with what depends on X alone, which is of the host."""
    place, dtype = X.place, X.library.dtype(E)
    column = place.from_host(scale[:, None], dtype)
    A = E if kept is None else E * place.from_host(kept[:, None], dtype)
    B = gram_product(A, X, ridge, out=None) * column
    F = gram_product(B * column, X, ridge, out=None)
    to_host = place.library.to_host
    K = alpha * solve_semidefinite(
        to_host(product(B, B, transpose_a=True)), alpha, to_host(product(A, E, transpose_a=True))
    )
    return product(F, place.from_host(K, dtype))


def _matrix(W: Any, place: Place) -> Any:
    if is_sparse(W):
        raise TypeError(
            "W: on a CUDA device, a dense matrix expected; model.sparsify().to('cuda') recommends from sparse weights"
        )
    dtype = _dtype(W, "W", place)
    if len(W.shape) != 2:
        raise TypeError(f"W: expected a matrix, got {len(W.shape)} dimension(s)")
    return dtype


def _allocate(rows: int, n: int, k: int, itemsize: int, place: Place) -> tuple[Any, Any, Any]:
    check_count(k, "k")
    size = cuda().topk_workspace(rows, n, k, itemsize)
    place.require(rows * k * 8 + size, f"{k} items for each of {rows} users", "A smaller k needs less.")
    return place.empty((rows, k), np.int32), place.empty((rows, k), np.float32), place.workspace(size)


@on_their_device
def topk(scores: Any, *, k: int, scale: Any, hidden: Any, columns: Any) -> Any:
    """The k largest of every row; waits once where `hidden` is on the device."""
    place = _place(scores, hidden)
    dtype = _dtype(scores, "scores", place)
    if len(scores.shape) != 2:
        raise TypeError("scores: expected two dimensions")
    rows, n = (int(size) for size in scores.shape)
    if scale is not None and not on_cuda(scale):
        scale = place.from_host(check_numbers(scale, "scale"), dtype)
    if columns is not None and not on_cuda(columns):
        host = np.asarray(columns)
        if host.dtype != np.bool_:
            raise TypeError(f"columns: expected a vector of bool, got {host.dtype}")
        columns = place.from_host(host, np.uint8)
    elif columns is not None:
        columns = place.library.astype(columns, np.uint8)
    for name, vector in (("scale", scale), ("columns", columns)):
        if vector is not None and tuple(vector.shape) != (n,):
            raise ValueError(f"{name}: expected shape ({n},), got {tuple(vector.shape)}")
    seen = None
    if hidden is not None:
        csr = device_csr(hidden, place, "hidden", dtype=np.float32, cols=n)
        if csr.shape[0] != rows:
            raise ValueError(f"hidden: expected {rows} rows, got {csr.shape[0]}")
        seen = csr[:2]
    items, best, workspace = _allocate(rows, n, k, dtype.itemsize, place)
    cuda().topk(scores, scale, seen, columns, items, best, workspace, place.stream)
    return items, best


class Hiding(NamedTuple):
    """What may not be recommended, as the kernels take it."""

    seen: tuple[Any, Any] | None  # row pointers and columns
    columns: Any | None  # uint8 for every item

    def rows(self, begin: int, end: int, indptr: Any) -> tuple[Any, Any] | None:
        """`seen` of some rows; `indptr` is the host's copy of its pointers."""
        if self.seen is None:
            return None
        first, last = int(indptr[begin]), int(indptr[end])
        return self.seen[0][begin : end + 1] - first, self.seen[1][first:last]


@on_their_device
def hiding(
    csr: DeviceCsr, n: int, *, exclude_seen: bool, items: Any = None, forbid: Any = None, never: Any = None
) -> Hiding:
    """Compare `fastlae.ops.topk.hidden_items`.

    With a sparse `forbid`, X and `forbid` are brought to the host, and what is hidden goes back.
    """
    place = csr.place
    if exclude_seen and csr.shape[1] != n:
        raise ValueError(f"exclude_seen: needs as many input as target items, got W of shape {(csr.shape[1], n)}")
    per_user = is_sparse(forbid) or isinstance(forbid, (Csr, DeviceCsr)) or on_cuda(forbid)
    if isinstance(forbid, DeviceCsr) or on_cuda(forbid):
        forbid = device_csr(forbid, place, "forbid", dtype=np.float32, cols=n).to_host()
    rows = csr.to_host() if per_user else Csr(np.zeros(1, np.int64), np.zeros(0, np.int32), None, (0, n))
    hidden, columns = hidden_items(
        rows, n, exclude_seen=exclude_seen and per_user, items=items, forbid=forbid, never=never
    )
    seen: Any = csr[:2] if exclude_seen else None
    if per_user:
        assert hidden is not None
        seen = (place.from_host(hidden[0], np.int64), place.from_host(hidden[1], np.int32))
    return Hiding(seen, None if columns is None else place.from_host(columns, np.uint8))


@on_their_device
def recommend(
    X: Any, W: Any, *, k: int, exclude_seen: bool, items: Any, forbid: Any, never: Any = None, nonnegative: bool = False
) -> Any:
    """The k best of every row of X W; waits once where X is on the device, and where a sparse `forbid` is given."""
    place = _place(X, W)
    dtype = _matrix(W, place)
    m, n = (int(size) for size in W.shape)
    csr = device_csr(X, place, dtype=dtype, cols=m, nonnegative=nonnegative)
    hidden = hiding(csr, n, exclude_seen=exclude_seen, items=items, forbid=forbid, never=never)
    best_items, best, workspace = _allocate(csr.shape[0], n, k, dtype.itemsize, place)
    cuda().recommend(*csr[:3], W, hidden.seen, hidden.columns, best_items, best, workspace, place.stream)
    return best_items, best


@on_their_device
def rank(
    X: DeviceCsr,
    scores_of: Callable[[DeviceCsr, int, int], Any],
    hidden: Hiding,
    *,
    k: int,
    scales: Sequence[Any],
    dtype: Any,
) -> list[tuple[Any, Any]]:
    """The k best of every row of some scores, once for each of several scalings of their columns.

    `scores_of(rows, begin, end)` makes dense scores of a block of rows of X; they are never held as a whole. Waits
    once, for pointers.
    """
    place, (rows, n) = X.place, X.shape
    check_count(k, "k")
    found = [(place.empty((rows, int(k)), np.int32), place.empty((rows, int(k)), np.float32)) for _ in scales]
    indptr = place.library.to_host(X.indptr)
    seen_indptr = None if hidden.seen is None else place.library.to_host(hidden.seen[0])
    step = max(1, min(8192, int(BLOCK_BYTES / max(1, n * dtype.itemsize))))
    for begin in range(0, rows, step):
        end = min(rows, begin + step)
        scores = scores_of(X.rows(begin, end, indptr), begin, end)
        seen = hidden.rows(begin, end, seen_indptr)
        workspace = place.workspace(cuda().topk_workspace(end - begin, n, k, dtype.itemsize))
        for scale, (items, best) in zip(scales, found, strict=True):
            cuda().topk(scores, scale, seen, hidden.columns, items[begin:end], best[begin:end], workspace, place.stream)
    nothing = X.indptr[1:] == X.indptr[:-1]
    for items, best in found:  # a user with nothing is recommended nothing
        items[nothing] = -1
        best[nothing] = -np.inf
    return found
