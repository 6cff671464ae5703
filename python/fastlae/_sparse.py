"""From anything sparse to the one form that the kernels take: CSR, sorted, without duplicates or stored zeros."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._backend import column_counts, csr_state


class Csr(NamedTuple):
    """A sparse matrix as the kernels take it.

    `indptr` is int64 (rows + 1), `indices` int32 (nnz), ascending within a row; `values` is float32 or float64 (nnz),
    or None where every stored value is 1.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[Any] | None
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        """Stored values."""
        return len(self.indices)

    def dense_values(self, dtype: Any) -> NDArray[Any]:
        """The values as an array, ones written out."""
        return np.ones(self.nnz, dtype) if self.values is None else self.values.astype(dtype, copy=False)

    def item_counts(self) -> NDArray[np.float64]:
        """Users of every item."""
        return np.asarray(column_counts(self.indices, self.shape[1]), dtype=np.float64)

    def scipy(self, dtype: Any = np.float32) -> sp.csr_matrix[Any]:
        """The same as a scipy matrix."""
        return sp.csr_matrix((self.dense_values(dtype), self.indices, self.indptr), shape=self.shape)

    def rows(self, begin: int, end: int) -> Csr:
        """Rows begin to end, sharing memory."""
        a, b = int(self.indptr[begin]), int(self.indptr[end])
        values = None if self.values is None else self.values[a:b]
        return Csr(self.indptr[begin : end + 1] - a, self.indices[a:b], values, (end - begin, self.shape[1]))

    def transpose(self) -> Csr:
        """The transposed matrix (a copy)."""
        if self.values is None:  # one byte a value is enough to carry the structure through
            data: NDArray[Any] = np.ones(self.nnz, np.int8)
        else:
            data = self.values
        t = sp.csr_matrix((data, self.indices, self.indptr), shape=self.shape).T.tocsr()
        return Csr(
            t.indptr.astype(np.int64, copy=False),
            t.indices.astype(np.int32, copy=False),
            None if self.values is None else t.data,
            (self.shape[1], self.shape[0]),
        )


def as_csr(X: Any, name: str = "X", *, dtype: Any = None, cols: int | None = None, nonnegative: bool = False) -> Csr:
    """Check `X` and bring it into canonical form; the caller's arrays are never changed.

    `X` is a scipy sparse matrix or array of any format, a dense matrix, a `Csr`, or a `fastlae.Interactions`. Duplicate
    entries are summed, as scipy does, and stored zeros dropped. Values become `dtype` (float64 if the input is, else
    float32).
    """
    inside = X if isinstance(X, Csr) else getattr(X, "_csr", None)
    if isinstance(inside, Csr):
        csr = inside
        if dtype is not None and csr.values is not None:
            csr = csr._replace(values=csr.values.astype(dtype, copy=False))
    else:
        csr = _convert(X, name, dtype)
    if cols is not None and csr.shape[1] != cols:
        raise ValueError(f"{name}: expected {cols} columns (items), got a matrix of shape {csr.shape}")
    if nonnegative and csr.values is not None and csr.nnz and csr.values.min() < 0:
        raise ValueError(f"{name}: expected non-negative values, got {csr.values.min()}")
    return csr


def apart(csr: Csr, X: Any) -> Csr:
    """`csr`, made of `X`, to keep: copied where the caller's arrays may be behind it, who may change them."""
    if isinstance(X, Csr) or isinstance(getattr(X, "_csr", None), Csr):
        return csr
    values = None if csr.values is None else csr.values.copy()
    return csr._replace(indptr=csr.indptr.copy(), indices=csr.indices.copy(), values=values)


def is_sparse(X: Any) -> bool:
    """Whether `X` is a scipy sparse matrix or array."""
    return bool(sp.issparse(X))


def _convert(X: Any, name: str, dtype: Any) -> Csr:
    sparse = is_sparse(X)
    if not sparse:
        X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise TypeError(
            f"{name}: expected a users x items matrix of numbers, sparse or dense, got an array of {X.dtype} "
            f"with {X.ndim} dimension(s)"
        )
    if dtype is None:
        dtype = np.float64 if X.dtype == np.float64 else np.float32
    if X.shape[1] >= 2**31 or X.shape[0] >= 2**31:
        raise ValueError(f"{name}: at most 2**31 - 1 users and items, got shape {X.shape}")
    if sparse and X.format == "csr" and X.dtype == dtype and len(X.indptr) == X.shape[0] + 1:
        # The usual case, looked through once; to build a scipy matrix takes longer than that, for one user above all.
        state = csr_state(X.indptr, X.indices, X.data, X.shape[1])
        if state:
            indptr = X.indptr.astype(np.int64, copy=False)
            return Csr(indptr, X.indices, None if state == 1 else X.data, (int(X.shape[0]), int(X.shape[1])))
    with np.errstate(over="ignore"):  # what is too large for dtype becomes infinite, and is refused below
        A = _to_csr(X, name, dtype) if sparse else sp.csr_matrix(X.astype(dtype))
        if not A.has_canonical_format or (A.data == 0).any():
            A = A.copy()  # the caller's arrays may be behind it
            A.sum_duplicates()
            A.eliminate_zeros()
    if not np.isfinite(A.data).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity (in {np.dtype(dtype).name})")
    values = None if (A.data == 1).all() else np.ascontiguousarray(A.data)
    indptr = np.ascontiguousarray(A.indptr, dtype=np.int64)
    indices = np.ascontiguousarray(A.indices, dtype=np.int32)
    return Csr(indptr, indices, values, (int(A.shape[0]), int(A.shape[1])))


def _to_csr(X: Any, name: str, dtype: Any) -> Any:
    """Values become `dtype` before anything is summed: small integers would wrap."""
    check_structure(X, name)  # before scipy walks over it
    if X.format not in ("csr", "csc"):
        X = X.tocoo()  # as it is: duplicates are not summed yet
    data = X.data.astype(dtype, copy=False)
    if X.format == "coo":
        return sp.csr_matrix((data, (X.row, X.col)), shape=X.shape)
    if X.format == "csc":
        return sp.csc_matrix((data, X.indices, X.indptr), shape=X.shape).tocsr()
    return sp.csr_matrix((data, X.indices, X.indptr), shape=X.shape)


def check_structure(X: Any, name: str) -> None:
    """Refuse row pointers or indices that point outside a CSR, CSC, BSR or COO matrix."""
    if X.format == "coo":
        if not len(X.row) == len(X.col) == len(X.data):
            raise ValueError(f"{name}: as many rows, columns and values expected")
        _check_indices(X.row, X.shape[0], f"{name}: a row index")
        _check_indices(X.col, X.shape[1], f"{name}: a column index")
        return
    if X.format not in ("csr", "csc", "bsr"):
        return
    major, minor = (1, 0) if X.format == "csc" else (0, 1)
    shape = [size // step for size, step in zip(X.shape, getattr(X, "blocksize", (1, 1)), strict=True)]
    indptr, indices = X.indptr, X.indices
    if len(indptr) != shape[major] + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > len(indices):
        raise ValueError(f"{name}: the pointers (indptr) are not ascending from 0 to at most {len(indices)}")
    if len(X.data) < indptr[-1]:
        raise ValueError(f"{name}: {indptr[-1]} values expected, got {len(X.data)}")
    _check_indices(indices[: indptr[-1]], shape[minor], f"{name}: a {'column' if minor else 'row'} index")


def _check_indices(indices: Any, size: int, what: str) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"{what} lies outside 0 .. {size - 1}")
