"""Interactions on a device, from which batches of rows are taken."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from .._sparse import Csr


class Rows:
    """A sparse matrix on a device, all of it, once; batches are gathered there.

    Parameters
    ----------
    X : Csr
    device : torch.device
    dtype : torch.dtype
        Of the values.
    """

    def __init__(self, X: Csr, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.crow = torch.from_numpy(X.indptr).to(device)
        self.col = torch.from_numpy(X.indices.astype(np.int64)).to(device)
        self.values = torch.from_numpy(X.dense_values(np.float32)).to(device, dtype)
        self.shape = X.shape

    def take(self, rows: torch.Tensor) -> Batch:
        """The rows of these numbers."""
        begin = self.crow[rows]
        lengths = self.crow[rows + 1] - begin
        crow = torch.zeros(len(rows) + 1, dtype=torch.int64, device=rows.device)
        torch.cumsum(lengths, 0, out=crow[1:])
        places = torch.arange(int(crow[-1]), device=rows.device)
        places += torch.repeat_interleave(begin - crow[:-1], lengths)
        return Batch(crow, self.col[places], self.values[places], (len(rows), self.shape[1]))

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, Batch]]:
        """All rows in random order, by batches, with their numbers."""
        order = torch.randperm(self.shape[0], generator=generator, device=generator.device).to(self.crow.device)
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            yield rows, self.take(rows)


class Batch(NamedTuple):
    """Some rows: pointers, items, values and (rows, items)."""

    crow: torch.Tensor
    col: torch.Tensor
    values: torch.Tensor
    shape: tuple[int, int]

    def csr(self) -> torch.Tensor:
        """As one of torch's tensors."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(self.crow, self.col, self.values, self.shape, check_invariants=False)

    def sums(self) -> torch.Tensor:
        """Sum of every row."""
        rows = torch.repeat_interleave(torch.arange(self.shape[0], device=self.crow.device), self.crow.diff())
        return torch.zeros(self.shape[0], dtype=self.values.dtype, device=rows.device).index_add_(0, rows, self.values)
