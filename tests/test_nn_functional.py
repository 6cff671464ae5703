"""Functions of fastlae.nn.functional against compositions of plain torch in float64, and what they refuse."""

from __future__ import annotations

import warnings
from importlib import import_module

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from fastlae import Interactions, ops
from fastlae.nn import functional as F
from fastlae.nn.functional import multinomial
from torch_cases import BATCH, HIDDEN, ITEMS, compare, normal, rows, spd

sparse_linear = import_module("fastlae.nn.functional.sparse_linear")  # the package's function has the same name


# Against plain torch.


@pytest.mark.parametrize("shape", [(7, 23, 5), (1, 4, 9), (3, 1, 1), (40, 300, 33)])
@pytest.mark.parametrize("bias", [True, False])
def test_sparse_linear(shape, bias):
    batch, items, hidden = shape
    dense, x = rows(batch, items)
    W, b = normal(items, hidden), normal(hidden, seed=2)
    if bias:
        compare(lambda w, c: F.sparse_linear(x, w, c), lambda w, c: dense @ w + c, W, b)
    else:
        compare(lambda w: F.sparse_linear(x, w), lambda w: dense @ w, W)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_normalisation_and_noise(normalize, dropout):
    dense, x = rows()
    mask = torch.rand(x.values().shape, generator=torch.Generator().manual_seed(3)) >= 0.3
    kept = dense.clone()
    kept[dense != 0] = mask.to(dense.dtype)
    csr = F.csr_tensors(x)

    def ours(values, w):
        return F.sparse_linear(csr._replace(values=values), w, normalize=normalize, dropout=dropout, mask=mask)

    def plain(values, w):
        full = torch.zeros_like(dense).masked_scatter(dense != 0, values)
        if normalize:
            full = torch.nn.functional.normalize(full, eps=1e-10)
        return (full * kept / (1 - dropout) if dropout else full) @ w

    compare(ours, plain, csr.values, normal(ITEMS, HIDDEN))


def test_noise_by_seed():
    _, x = rows(200, 100, dtype=torch.float32)
    W = torch.eye(100)

    def noisy(seed):
        return F.sparse_linear(x, W, dropout=0.25, seed=seed)

    clean, first = F.sparse_linear(x, W), noisy(1)
    assert torch.equal(first, noisy(1))
    assert not torch.equal(first, noisy(2))
    assert torch.equal(noisy(-1), noisy(-1))
    stays = first != 0
    torch.testing.assert_close(first[stays], clean[stays] / 0.75)
    share = stays.sum() / (clean != 0).sum()
    assert abs(share - 0.75) < 4 * (0.25 * 0.75 / len(x.values())) ** 0.5
    torch.manual_seed(5)
    drawn = F.sparse_linear(x, W, dropout=0.25)
    torch.manual_seed(5)
    assert torch.equal(drawn, F.sparse_linear(x, W, dropout=0.25))
    assert not torch.equal(drawn, F.sparse_linear(x, W, dropout=0.25))


def test_neighbouring_seeds_draw_independently():
    crow = torch.tensor([0, 4000])
    ones = torch.ones(4000, dtype=torch.float64)
    masks = torch.stack([sparse_linear.input_values(crow, ones, False, 0.5, None, s) != 0 for s in range(8)])
    together = torch.corrcoef(masks.double())
    assert (together - torch.eye(8, dtype=torch.float64)).abs().max() < 0.07  # four standard deviations


def plain_nll(z, dense):
    return -(torch.log_softmax(z, 1) * dense).sum(1)


@pytest.mark.parametrize("shape", [(7, 23), (1, 4), (3, 1), (40, 3001)])
def test_multinomial_nll(shape):
    dense, x = rows(*shape)
    compare(lambda z: F.multinomial_nll(z, x), lambda z: plain_nll(z, dense), 3 * normal(*shape))


@pytest.mark.parametrize("shape", [(7, 23, 5), (1, 4, 9), (3, 1, 1), (40, 3001, 17)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_multinomial_nll(shape, bias, monkeypatch):
    monkeypatch.setattr(multinomial, "_CHUNK", 700)  # several chunks
    batch, items, hidden = shape
    dense, x = rows(batch, items)
    z, W, b = normal(batch, hidden), normal(items, hidden, seed=2), normal(items, seed=3)
    if bias:
        compare(
            lambda z, w, b: F.linear_multinomial_nll(z, w, b, x), lambda z, w, b: plain_nll(z @ w.T + b, dense), z, W, b
        )
    else:
        compare(lambda z, w: F.linear_multinomial_nll(z, w, None, x), lambda z, w: plain_nll(z @ w.T, dense), z, W)


def test_gradients_to_the_values_of_the_target():
    dense, x = rows()
    csr, W, z = F.csr_tensors(x), normal(ITEMS, HIDDEN), normal(BATCH, HIDDEN)

    def plain(values):
        return plain_nll(z @ W.T, torch.zeros_like(dense).masked_scatter(dense != 0, values))

    compare(lambda v: F.multinomial_nll(z @ W.T, csr._replace(values=v)), plain, csr.values)
    compare(lambda v: F.linear_multinomial_nll(z, W, None, csr._replace(values=v)), plain, csr.values)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_large_scores_do_not_overflow(scale):
    dense, x = rows(dtype=torch.float32)
    z, W = normal(BATCH, HIDDEN, dtype=torch.float32), scale * normal(ITEMS, HIDDEN, dtype=torch.float32)
    exact = plain_nll(z.double() @ W.double().T, dense.double())
    for found in (F.multinomial_nll(z @ W.T, x), F.linear_multinomial_nll(z, W, None, x)):
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


def test_a_row_without_items_costs_nothing_whatever_its_scores():
    dense, x = rows(dtype=torch.float32)
    z = torch.zeros(BATCH, ITEMS)
    z[BATCH // 2] = -torch.inf
    z[0, dense[0] == 0] = -torch.inf  # hidden items that are not in the target
    z.requires_grad_()
    loss = F.multinomial_nll(z, x)
    assert loss[BATCH // 2] == 0
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert torch.isfinite(z.grad).all()
    assert not z.grad[BATCH // 2].any()


def test_nan_stays_in_its_row():
    _, x = rows(dtype=torch.float32, density=0.5)
    z = torch.zeros(BATCH, ITEMS)
    z[0, 0] = torch.nan
    loss = F.multinomial_nll(z, x)
    assert loss.isnan().tolist() == [True] + [False] * (BATCH - 1)


@pytest.mark.parametrize("l2", ["number", "vector"])
def test_gram_product(l2):
    dense, X = rows(30, ITEMS)
    ridge = torch.tensor(0.7, dtype=torch.float64) if l2 == "number" else torch.rand(ITEMS, dtype=torch.float64)
    compare(
        lambda E, r: F.gram_product(E, X, l2=r),
        lambda E, r: dense.T @ (dense @ E) + (r[:, None] if r.ndim else r) * E,
        normal(ITEMS, HIDDEN),
        ridge,
    )


@pytest.mark.parametrize("min_count", [0, 6])
@pytest.mark.parametrize("diagonal", ["approximate", "given"])
def test_implicit_slim(min_count, diagonal):
    dense, X = rows(30, ITEMS, density=0.2)
    E, l2, alpha = normal(ITEMS, HIDDEN), torch.tensor(0.7).double(), torch.tensor(0.3).double()
    kept = ((dense != 0).sum(0) >= min_count).double()[:, None]
    assert 0 < kept.sum() <= ITEMS

    def inverse_diagonal(l2):
        d = (dense * dense).sum(0)
        return 1 / (d + l2) if diagonal == "approximate" else 1 / (d + 2.0)

    def ours(E, l2, alpha):
        given = diagonal if diagonal == "approximate" else inverse_diagonal(l2).detach()
        return F.implicit_slim(E, X, l2=l2, alpha=alpha, min_count=min_count, diagonal=given)

    def plain(E, l2, alpha):  # equations (9) and (12)
        P = torch.linalg.inv(dense.T @ dense + l2 * torch.eye(ITEMS).double())
        R = P @ torch.diag(inverse_diagonal(l2) ** -2) @ P
        A = E * kept
        return alpha * torch.linalg.inv(R + alpha * A @ A.T) @ A @ A.T @ E

    compare(ours, plain, E, l2, alpha, tolerance=1e-8)
    given = "approximate" if diagonal == "approximate" else inverse_diagonal(l2).numpy()
    sparse = sp.csr_matrix(dense.numpy())
    by_ops = ops.implicit_slim(E.numpy(), sparse, l2=0.7, alpha=0.3, min_count=min_count, diagonal=given)
    np.testing.assert_allclose(ours(E, 0.7, 0.3), by_ops, atol=1e-10)


# The composite prior.


@pytest.mark.parametrize("per_coordinate", [True, False])
@pytest.mark.parametrize("weights", [(0.15, 0.75, 0.1), (1.0, 0.0, 0.0), (0.0, 0.5, 0.5)])
def test_composite_prior(per_coordinate, weights):
    def plain(z, mu, logvar):
        zero = torch.zeros_like(z)
        parts = [
            torch.distributions.Normal(mean, torch.exp(0.5 * lv)).log_prob(z)
            for mean, lv in ((zero, zero), (mu, logvar), (zero, zero + 10.0))
        ]
        logs = torch.stack(parts) if per_coordinate else torch.stack(parts).sum(2, keepdim=True)
        return torch.logsumexp(logs + torch.tensor(weights, dtype=torch.float64).log()[:, None, None], 0).sum(1)

    shape = (BATCH, HIDDEN)
    compare(
        lambda z, mu, lv: F.composite_prior_logpdf(z, mu, lv, weights=weights, per_coordinate=per_coordinate),
        plain,
        2 * normal(*shape),
        normal(*shape, seed=2),
        normal(*shape, seed=3),
    )


# Dense layers and their activation.


@pytest.mark.parametrize("shape", [(7, 5, 4), (1, 1, 1), (70, 700, 33)])
def test_linear(shape):
    batch, columns, width = shape
    compare(F.linear, torch.nn.functional.linear, normal(batch, columns), normal(width, columns, seed=2))


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (3, 600), (70, 33)])
@pytest.mark.parametrize("connected", [False, True])
def test_swish_norm(shape, connected):
    def plain(x, w, b, r):
        return torch.nn.functional.layer_norm(torch.nn.functional.silu(x + r), shape[1:], w, b, 0.1)

    x, r, w, b = 3 * normal(*shape), normal(*shape, seed=2), normal(shape[1], seed=3), normal(shape[1], seed=4)
    if not connected:
        compare(lambda *t: F.swish_norm(*t, eps=0.1), lambda *t: plain(*t, 0.0), x, w, b)
        return
    compare(lambda x, w, b, r: F.swish_norm(x, w, b, eps=0.1, residual=r), plain, x, w, b, r)

    def both(x, w, b, r):
        return torch.stack(F.swish_norm(x, w, b, eps=0.1, residual=r, with_total=True))

    def both_plain(*tensors):
        h = plain(*tensors)
        return torch.stack((h, tensors[3] + h))

    compare(both, both_plain, x, w, b, r)
    c = normal(shape[1], seed=5)
    compare(
        lambda x, w, b, r, c: F.swish_norm(x, w, b, eps=0.1, residual=r, layer_bias=c),
        lambda x, w, b, r, c: plain(x + c, w, b, r),
        *(x, w, b, r, c),
    )
    for used in range(2):  # one of the two alone
        compare(lambda *t, i=used: both(*t)[i], lambda *t, i=used: both_plain(*t)[i], x, w, b, r)


# Arguments.


def test_whatever_is_sparse():
    dense, x = rows(dtype=torch.float32)
    W = normal(ITEMS, HIDDEN, dtype=torch.float32)
    expected = F.sparse_linear(x, W)
    matrix = sp.csr_matrix(dense.numpy())
    interactions = Interactions.from_matrix(matrix)
    for form in (matrix, matrix.tocsc(), matrix.tocoo(), F.csr_tensors(x), sp.csr_array(matrix)):
        assert torch.equal(F.sparse_linear(form, W), expected)
    assert torch.equal(F.csr_tensors(interactions).crow, F.csr_tensors(x).crow)
    integers = sp.csr_matrix((matrix.data.astype(np.int8), matrix.indices, matrix.indptr), shape=matrix.shape)
    assert F.sparse_linear(integers, W).dtype == torch.float32
    assert F.csr_tensors(matrix.astype(np.float64)).values.dtype == torch.float64
    assert F.csr_tensors(sp.csr_matrix(np.ones((2, 2)))).values.dtype == torch.float64


def test_csr_tensors_take():
    dense, x = rows()
    csr = F.csr_tensors(x)
    for wanted in ([3, 0, 6], [], [2, 2], torch.arange(BATCH)):
        taken = csr.take(wanted)
        full = sp.csr_matrix((taken.values, taken.col, taken.crow), shape=taken.shape).toarray()
        np.testing.assert_array_equal(full, dense[torch.as_tensor(wanted, dtype=torch.int64)])
    assert csr.to(dtype=torch.float32).values.dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x, W: F.sparse_linear(torch.ones(2, ITEMS), W), TypeError, "x: .*sparse"),
        (lambda x, W: F.sparse_linear(x, W[:-1]), ValueError, "x: expected 22 columns"),
        (lambda x, W: F.sparse_linear(x, W[0]), ValueError, "weight: expected 2 dim"),
        (lambda x, W: F.sparse_linear(x, W.long()), TypeError, "weight: "),
        (lambda x, W: F.sparse_linear(x, W.numpy()), TypeError, "weight: "),
        (lambda x, W: F.sparse_linear(x, W, W[0, :2]), ValueError, "bias: expected shape"),
        (lambda x, W: F.sparse_linear(x, W, dropout=1.0), ValueError, "dropout: "),
        (lambda x, W: F.sparse_linear(x, W, dropout=float("nan")), ValueError, "dropout: "),
        (lambda x, W: F.sparse_linear(x, W, dropout=0.5, mask=torch.ones(2, dtype=bool)), ValueError, "mask: "),
        (lambda x, W: F.sparse_linear(x, W, dropout=0.5, mask=x.values() > 0, seed=1), ValueError, "mask, seed"),
        (lambda x, W: F.multinomial_nll(W, x), ValueError, "x: expected 5 columns"),
        (lambda x, W: F.multinomial_nll(torch.ones(2, ITEMS), x), ValueError, "x: expected 2 rows"),
        (lambda x, W: F.linear_multinomial_nll(W[:BATCH, :2], W, None, x), ValueError, "z: expected 5 columns"),
        (lambda x, W: F.linear_multinomial_nll(W[:2], W, None, x), ValueError, "x: expected 2 rows"),
        (lambda x, W: F.linear_multinomial_nll(W[:BATCH], W, W[0], x), ValueError, "bias: "),
        (lambda x, W: F.gram_product(W[:2], x), ValueError, "x: expected 2 columns"),
        (lambda x, W: F.gram_product(W, x, l2=[1.0, 2.0]), ValueError, "l2: "),
        (lambda x, W: F.implicit_slim(W, x, l2=1.0, alpha=1.0, diagonal="exact"), ValueError, "diagonal: "),
        (lambda x, W: F.implicit_slim(W, x, l2=1.0, alpha=[1.0]), ValueError, "alpha: "),
        (lambda x, W: F.spd_inverse(W), ValueError, "a: expected a square"),
        (lambda x, W: F.edlae_weights(spd(), l2=[1.0, 2.0], dropout=0.5), ValueError, "l2: expected shape"),
        (lambda x, W: F.edlae_weights(spd(), l2="much", dropout=0.5), TypeError, "l2: "),
        (lambda x, W: F.composite_prior_logpdf(W, W, W[:2]), ValueError, "logvar_old: "),
        (lambda x, W: F.linear(W, W.T), ValueError, "weight: expected 5 columns"),
        (lambda x, W: F.swish_norm(W, W[0], W[:, 0]), ValueError, "bias: expected shape"),
        (lambda x, W: F.swish_norm(W, W[0], W[0], layer_bias=W[:, 0]), ValueError, "layer_bias: expected shape"),
        (lambda x, W: F.swish_norm(W, W[0], W[0], eps=0.0), ValueError, "eps: "),
        (lambda x, W: F.swish_norm(W, W[0], W[0], residual=W[:2]), ValueError, "residual: "),
        (lambda x, W: F.swish_norm(W, W[0], W[0], with_total=True), ValueError, "with_total: "),
        (lambda x, W: F.swish_norm(W[:, :0], W[0, :0], W[0, :0]), ValueError, "x: expected at least one column"),
        (lambda x, W: F.composite_prior_logpdf(W, W, W, weights=(1, 1, 1)), ValueError, "weights: "),
        (lambda x, W: F.csr_tensors(x, dtype=torch.int32), TypeError, "dtype: "),
        (lambda x, W: F.csr_tensors(x.to(torch.complex64)), TypeError, "real"),
        (lambda x, W: F.csr_tensors(sp.csr_matrix([[np.nan]])), ValueError, "x: .*NaN"),
        (lambda x, W: F.csr_tensors(x * torch.nan), ValueError, "x: .*NaN"),
    ],
)
def test_refused(call, error, match):
    _, x = rows(dtype=torch.float32)
    with pytest.raises(error, match=match):
        call(x, normal(ITEMS, HIDDEN, dtype=torch.float32))


@pytest.mark.parametrize(
    ("crow", "col"), [([0, 2], [1, 0]), ([0, 2], [1, 1]), ([0, 1], [5]), ([0, 1], [-1]), ([0, 2, 1], [0, 1])]
)
def test_indices_out_of_order_or_range(crow, col):
    with warnings.catch_warnings(action="ignore"):
        unchecked = torch.sparse_csr_tensor(
            torch.tensor(crow), torch.tensor(col), torch.ones(len(col)), (len(crow) - 1, 3), check_invariants=False
        )
    with pytest.raises(ValueError, match="out of order or range"):
        F.csr_tensors(unchecked)


@pytest.mark.parametrize("batch", [0, 1])
def test_few_rows_and_no_items(batch):
    empty = F.csr_tensors(sp.csr_matrix((batch, 4)))
    W = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    z = torch.ones(batch, 3, dtype=torch.float64, requires_grad=True)
    assert F.sparse_linear(empty, W, normalize=True, dropout=0.5).tolist() == [[0.0] * 3] * batch
    for loss in (F.multinomial_nll(z @ W.T, empty), F.linear_multinomial_nll(z, W, None, empty)):
        assert loss.tolist() == [0.0] * batch
        gradients = torch.autograd.grad(loss.sum(), (z, W))
        assert not any(g.any() for g in gradients)
