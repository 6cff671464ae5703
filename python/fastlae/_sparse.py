"""From anything sparse to the one form that the kernels take: CSR, sorted, without duplicates or stored zeros."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


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

    `X` is a scipy sparse matrix or array of any format, a dense matrix, or a `Csr`. Duplicate entries are summed, as
    scipy does, and stored zeros dropped. Values become `dtype` (float64 if the input is, else float32).
    """
    if isinstance(X, Csr):
        csr = X
        if dtype is not None and csr.values is not None:
            csr = csr._replace(values=csr.values.astype(dtype, copy=False))
    else:
        csr = _convert(X, name, dtype)
    if cols is not None and csr.shape[1] != cols:
        raise ValueError(f"{name}: expected {cols} columns (items), got a matrix of shape {csr.shape}")
    if nonnegative and csr.values is not None and csr.nnz and csr.values.min() < 0:
        raise ValueError(f"{name}: expected non-negative values, got {csr.values.min()}")
    return csr


def _convert(X: Any, name: str, dtype: Any) -> Csr:
    sparse = bool(sp.issparse(X))
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
    if sparse:
        check_structure(X, name)  # before scipy walks over it
        if X.dtype != dtype:  # first widen, then sum duplicates: small integers would wrap
            X = X.astype(dtype)
    A = sp.csr_matrix(X)
    if A.dtype != dtype:
        A = A.astype(dtype)
    if not np.isfinite(A.data).all():
        raise ValueError(f"{name}: expected finite values, got NaN or infinity")
    if not A.has_canonical_format or (A.data == 0).any():
        A = A.copy() if A is X or np.shares_memory(A.data, getattr(X, "data", A.data)) else A
        A.sum_duplicates()
        A.eliminate_zeros()
    values = None if (A.data == 1).all() else A.data
    rows, cols = A.shape
    return Csr(
        A.indptr.astype(np.int64, copy=False), A.indices.astype(np.int32, copy=False), values, (int(rows), int(cols))
    )


def check_structure(X: Any, name: str) -> None:
    """Refuse a sparse matrix whose pointers or indices point outside it: scipy itself would read there."""
    if X.format == "coo":
        for index, size, what in ((X.row, X.shape[0], "row"), (X.col, X.shape[1], "column")):
            _check_range(index, size, name, what)
    elif X.format in ("csr", "csc", "bsr"):
        lines, size, what = X.shape[0], X.shape[1], "column"
        if X.format == "csc":
            lines, size, what = X.shape[1], X.shape[0], "row"
        elif X.format == "bsr":
            lines, size = lines // X.blocksize[0], size // X.blocksize[1]
        indptr, indices = X.indptr, X.indices
        if len(indptr) != lines + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > len(indices):
            raise ValueError(f"{name}: the pointers (indptr) are not ascending from 0 to at most {len(indices)}")
        if len(X.data) < indptr[-1]:
            raise ValueError(f"{name}: {indptr[-1]} values expected, got {len(X.data)}")
        _check_range(indices[: indptr[-1]], size, name, what)


def _check_range(index: Any, size: int, name: str, what: str) -> None:
    if len(index) and (index.min() < 0 or index.max() >= size):
        raise ValueError(f"{name}: a {what} index lies outside 0 .. {size - 1}")
