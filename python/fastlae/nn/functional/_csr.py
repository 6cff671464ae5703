"""A sparse matrix as three plain tensors, which is what the operators are registered on.

torch can neither trace nor compile an operator that takes a sparse CSR tensor; three tensors it can.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from ..._sparse import as_csr


class CsrTensors(NamedTuple):
    """A sparse matrix by rows, as tensors on one device; made by `csr_tensors`.

    Functions of this package take it wherever they take a sparse matrix, also inside ``torch.compile``, and do not
    check it again: a batch that several functions need is unpacked, checked and sent to its device once.
    """

    crow: torch.Tensor  # (rows + 1,) int64
    col: torch.Tensor  # (nnz,) int32, ascending within a row
    values: torch.Tensor  # (nnz,) float32 or float64
    n_items: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.crow.shape[0] - 1, self.n_items

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> CsrTensors:
        """The same on a device, with values of a dtype."""
        crow, col = self.crow.to(device), self.col.to(device)
        return CsrTensors(crow, col, self.values.to(device=device, dtype=dtype), self.n_items)

    def take(self, rows: Any) -> CsrTensors:
        """Some rows, in the order given: a batch, made where the matrix is.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> from fastlae.nn import functional as F
        >>> X = F.csr_tensors(sp.csr_matrix([[1, 1, 0], [0, 0, 2], [0, 3, 0]]))
        >>> X.take([2, 0]).col
        tensor([1, 0, 1], dtype=torch.int32)
        """
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.crow.device)
        begin = self.crow[rows]
        counts = self.crow[rows + 1] - begin
        crow = torch.zeros(len(rows) + 1, dtype=torch.int64, device=self.crow.device)
        torch.cumsum(counts, 0, out=crow[1:])
        entries = torch.arange(int(crow[-1]), device=self.crow.device)
        entries += torch.repeat_interleave(begin - crow[:-1], counts, output_size=len(entries))
        return CsrTensors(crow, self.col[entries], self.values[entries], self.n_items)


def csr_tensors(x: Any, *, device: Any = None, dtype: torch.dtype | None = None) -> CsrTensors:
    """Check a sparse matrix and unpack it into plain tensors.

    Parameters
    ----------
    x : sparse matrix, (rows, items)
        A CSR tensor of torch on any device; or what is on the host: a sparse matrix of SciPy, `fastlae.Interactions`.
    device : torch.device or str, optional
        Where the tensors are to be; by default where `x` is.
    dtype : torch.dtype, optional
        Of the values: float32 or float64. By default float64 if `x` is, else float32.

    Returns
    -------
    CsrTensors
        Tensors of their own, apart from `x`.

    Raises
    ------
    ValueError, TypeError
        If `x` is no such matrix, its indices do not ascend within a row or lie outside, or values are not finite.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from fastlae.nn import functional as F
    >>> F.csr_tensors(sp.csr_matrix([[1, 1, 0], [0, 0, 2]]))  # doctest: +NORMALIZE_WHITESPACE
    CsrTensors(crow=tensor([0, 2, 3]), col=tensor([0, 1, 2], dtype=torch.int32), values=tensor([1., 1., 2.]),
               n_items=3)
    """
    if dtype not in (None, torch.float32, torch.float64):
        raise TypeError(f"dtype: expected torch.float32 or torch.float64, got {dtype}")
    if isinstance(x, CsrTensors):
        return x.to(device, dtype)
    if isinstance(x, torch.Tensor):
        return _from_torch(x, dtype).to(device)
    csr = as_csr(x, "x", dtype=None if dtype is None else str(dtype).removeprefix("torch."))
    if csr.values is None:
        values = torch.ones(csr.nnz, dtype=dtype or (torch.float64 if _is_double(x) else torch.float32))
    else:
        values = torch.from_numpy(csr.values.copy())
    crow, col = torch.from_numpy(csr.indptr.copy()), torch.from_numpy(csr.indices.copy())
    return CsrTensors(crow, col, values, csr.shape[1]).to(device)


def _is_double(x: Any) -> bool:
    return bool(getattr(x, "dtype", None) == np.float64)


def _from_torch(x: torch.Tensor, dtype: torch.dtype | None) -> CsrTensors:
    if x.layout != torch.sparse_csr or x.ndim != 2:
        raise TypeError(
            f"x: expected a sparse matrix (a CSR tensor: x.to_sparse_csr(); or of SciPy), got a tensor of layout "
            f"{x.layout} with {x.ndim} dimension(s)"
        )
    if x.dtype.is_complex:
        raise TypeError(f"x: expected real numbers, got {x.dtype}")
    if dtype is None:
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    if max(x.shape) >= 2**31:
        raise ValueError(f"x: at most 2**31 - 1 rows and columns, got shape {tuple(x.shape)}")
    # Copies, since a compiled function refuses views of a sparse tensor.
    crow, col = x.crow_indices().to(torch.int64, copy=True), x.col_indices().to(torch.int32, copy=True)
    values = x.values().to(dtype, copy=True)
    _check(crow, col, values, x.shape[1])
    return CsrTensors(crow, col, values, x.shape[1])


def _check(crow: torch.Tensor, col: torch.Tensor, values: torch.Tensor, n_items: int) -> None:
    nnz = len(col)
    first = torch.zeros(nnz + 1, dtype=torch.bool, device=col.device)
    first[crow.clamp(0, nnz)] = True
    steps = (col[1:] > col[:-1]) | first[1:nnz] if nnz else first[:0]
    sound = torch.stack(
        (
            (crow[1:] >= crow[:-1]).all() & (crow[0] == 0) & (crow[-1] == nnz),
            ((col >= 0) & (col < n_items)).all() & steps.all(),
            torch.isfinite(values).all(),
        )
    ).tolist()  # waits for the device once
    if not sound[0] or not sound[1]:
        raise ValueError("x: row pointers or column indices are out of order or range, or items occur twice in a row")
    if not sound[2]:
        raise ValueError("x: expected finite values, got NaN or infinity")


def batch_of(x: Any, dtype: torch.dtype, device: torch.device, n_items: int, rows: int | None = None) -> CsrTensors:
    """`x` as a function takes it: unpacked, with values of `dtype`, refused where it does not fit the other arguments.

    What is on the host goes to `device`; a tensor elsewhere is refused, as torch does.
    """
    batch = x if isinstance(x, CsrTensors) else csr_tensors(x, dtype=dtype)
    if batch.n_items != n_items:
        raise ValueError(f"x: expected {n_items} columns (items), got shape {batch.shape}")
    if rows is not None and batch.shape[0] != rows:
        raise ValueError(f"x: expected {rows} rows, got shape {batch.shape}")
    if batch.crow.device != device:
        if isinstance(x, (CsrTensors, torch.Tensor)):
            raise ValueError(f"x: expected tensors on {device}, got {batch.crow.device}")
        batch = batch.to(device)
    if batch.values.dtype != dtype:
        batch = batch._replace(values=batch.values.to(dtype))
    return batch
