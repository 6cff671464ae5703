"""Functions of torch tensors, with gradients: what autoencoders of sparse rows are made of.

Sparse arguments are CSR tensors of torch, matrices of SciPy or `fastlae.Interactions`, which a call checks and unpacks;
or `CsrTensors`, made once by `csr_tensors` for several calls and for ``torch.compile``.
"""

from __future__ import annotations

from ._csr import CsrTensors, csr_tensors
from .gram import gram_product, implicit_slim
from .inverse import deql_weights, dlae_weights, ease_weights, edlae_weights, lae_weights, spd_inverse
from .linear import linear
from .multinomial import linear_multinomial_nll, multinomial_nll
from .prior import composite_prior_logpdf
from .sparse_linear import sparse_linear
from .swish_norm import swish_norm

__all__ = [
    "CsrTensors",
    "composite_prior_logpdf",
    "csr_tensors",
    "deql_weights",
    "dlae_weights",
    "ease_weights",
    "edlae_weights",
    "gram_product",
    "implicit_slim",
    "lae_weights",
    "linear",
    "linear_multinomial_nll",
    "multinomial_nll",
    "sparse_linear",
    "spd_inverse",
    "swish_norm",
]
