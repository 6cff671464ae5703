"""Functions of fastlae.nn.functional against compositions of plain torch in float64, and as operators of torch."""

from __future__ import annotations

import warnings
from importlib import import_module

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from fastlae import Interactions, ops
from fastlae.nn import functional as F
from fastlae.nn.functional import gram, inverse, multinomial, prior

sparse_linear = import_module("fastlae.nn.functional.sparse_linear")  # the package's function has the same name
with warnings.catch_warnings(action="ignore"):  # once a process: sparse CSR tensors are in beta
    torch.eye(2).to_sparse_csr()
# torch's compiler warns of what it imports, and of what it looks at itself
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]
BATCH, ITEMS, HIDDEN = 7, 23, 5


def rows(batch=BATCH, items=ITEMS, *, seed=0, dtype=torch.float64, density=0.2):
    """A batch with an empty row and weights, dense and sparse."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.rand(batch, items, generator=generator, dtype=dtype) + 0.5
    dense[torch.rand(batch, items, generator=generator) >= density] = 0
    dense[batch // 2] = 0
    return dense, dense.to_sparse_csr()


def normal(*shape, seed=1, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def compare(ours, plain, *inputs, tolerance=1e-10):
    """Values and all gradients of two functions."""
    found = []
    for function in (ours, plain):
        leaves = [i.clone().requires_grad_() for i in inputs]
        out = function(*leaves)
        upstream = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)
        found.append((out.detach(), *torch.autograd.grad(out, leaves, upstream)))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


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


# The diagonal family.


def spd(n=9, seed=4):
    half = normal(2 * n, n, seed=seed)
    return half.T @ half


def symmetric(function):
    return lambda a, *others: function((a + a.T) / 2, *others)


def test_spd_inverse():
    compare(symmetric(F.spd_inverse), symmetric(torch.linalg.inv), spd(), tolerance=1e-8)


def brute_force_deql(G, l2, p, a, b):
    """Column by column, the minimiser of E |A (X - (Delta X) W)|^2 + sum l2_k W_ki^2 (DEQL paper, (5))."""
    n, q = G.shape[0], 1 - p
    # Entry (u, i) is weighted a^2 where it was dropped and b^2 where it was kept; inputs are kept with probability q.
    columns = []
    for i in range(n):
        own = torch.eye(n, dtype=G.dtype)[i]
        m = p * a * a + q * b * b
        keep = q * torch.ones(n, dtype=G.dtype)
        pairs = keep[:, None] * keep[None, :] * m  # E[w_i delta_k delta_l] for k, l, i different
        pairs = torch.where(torch.eye(n, dtype=torch.bool), (keep * m)[:, None], pairs)  # k = l
        with_own = q * b * b * torch.where(own.bool(), 1.0, keep)  # k = i: kept, so weighted b^2
        pairs = torch.where(own.bool()[:, None], with_own[None, :], pairs)
        pairs = torch.where(own.bool()[None, :], with_own[:, None], pairs)
        right = torch.where(own.bool(), q * b * b, keep * m)  # E[w_i delta_k]
        H = G * pairs + torch.diag(l2.expand(n))
        columns.append(torch.linalg.solve(H, G[:, i] * right))
    return torch.stack(columns, 1)


@pytest.mark.parametrize("per_item", [False, True])
def test_deql_weights(per_item):
    n = 9
    l2 = (
        torch.rand(n, generator=torch.Generator().manual_seed(7)).double() + 0.5
        if per_item
        else torch.tensor(2.0).double()
    )
    numbers = [torch.tensor(value).double() for value in (0.4, 1.1, 0.3)]
    compare(
        symmetric(lambda G, l2, p, a, b: F.deql_weights(G, l2=l2, dropout=p, a=a, b=b)),
        symmetric(brute_force_deql),
        spd(n),
        l2,
        *numbers,
        tolerance=1e-8,
    )


def plain_edlae(G, l2, p):
    C = torch.linalg.inv(G + torch.diag(p / (1 - p) * G.diagonal() + l2))
    return torch.eye(len(G)).double() - C / C.diagonal()


def plain_dlae(G, l2, p):
    ridge = p / (1 - p) * G.diagonal() + l2
    return torch.eye(len(G)).double() - torch.linalg.inv(G + torch.diag(ridge)) * ridge


@pytest.mark.parametrize("per_item", [False, True])
def test_edlae_and_dlae_weights(per_item):
    l2, p = torch.tensor(2.0).double(), torch.tensor(0.4).double()
    if per_item:
        l2, p = l2 + torch.rand(9).double(), p + 0.3 * torch.rand(9).double()
    for ours, plain in ((F.edlae_weights, plain_edlae), (F.dlae_weights, plain_dlae)):
        compare(symmetric(lambda G, l2, p, f=ours: f(G, l2=l2, dropout=p)), symmetric(plain), spd(), l2, p)
    torch.testing.assert_close(F.ease_weights(spd(), l2=2.0), plain_edlae(spd(), 2.0, 0.0))
    torch.testing.assert_close(F.lae_weights(spd(), l2=2.0), plain_dlae(spd(), 2.0, 0.0))


@pytest.mark.parametrize("zero_diagonal", [False, True])
@pytest.mark.parametrize("dropout", [0.4, "vector"])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_deql_weights_are_those_of_ops(dropout, l2, zero_diagonal):
    G = spd(30)
    p = np.linspace(0.2, 0.6, 30) if dropout == "vector" else dropout
    if dropout == "vector" and l2:
        with pytest.raises(ValueError, match="l2"):
            F.deql_weights(G, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
        return
    d = G.diagonal().numpy()
    ridge = ops.weights.deql_ridge(d, l2=l2, dropout=p, a=1.0, b=0.25)
    C = np.linalg.inv(G.numpy() + np.diag(ridge))
    expected = ops.deql_weights((C + C.T) / 2, d, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
    found = F.deql_weights(G, l2=l2, dropout=p, zero_diagonal=zero_diagonal)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    if zero_diagonal:
        assert found.diagonal().abs().max() < 1e-14


def test_hyperparameters_can_be_trained_through_the_closed_form():
    """Ridge and dropout of EDLAE by gradient descent on validation rows."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(400, 4)) @ rng.normal(size=(4, 30))
    X = torch.from_numpy((taste + rng.normal(size=taste.shape) > 1.0).astype(np.float64))
    train, held_out = X[:300], X[300:]
    G = train.T @ train
    log_l2 = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logit = torch.full((30,), -2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_l2, logit], lr=0.2)
    losses = []
    for _ in range(25):
        W = F.edlae_weights(G, l2=log_l2.exp(), dropout=torch.sigmoid(logit))
        loss = (held_out - held_out @ W).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert min(losses[1:]) < losses[0] - 1e-4


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


# As operators.


def cases(dtype=torch.float64):
    """Every operator with arguments; those that gradients go to require them."""
    _, x = rows(dtype=dtype)
    crow, col, values, n = F.csr_tensors(x)
    mask = torch.arange(len(values)) % 3 > 0

    def leaf(*shape, seed=1):
        return normal(*shape, seed=seed, dtype=dtype).requires_grad_()

    z, W, b, E = leaf(BATCH, HIDDEN), leaf(n, HIDDEN, seed=2), leaf(n, seed=3), leaf(n, HIDDEN, seed=4)
    weighted = values.clone().requires_grad_()
    lse, grad = torch.ones(BATCH, dtype=dtype), torch.rand(BATCH, dtype=dtype)
    prior_options = ([-1.0, -0.7, -2.0], 10.0)
    plain = [t.detach() for t in (z, W, b)]
    A = spd().to(dtype)
    return {
        "input_values": (sparse_linear.input_values, (crow, weighted, True, 0.3, mask, 0)),
        "input_values by seed": (sparse_linear.input_values, (crow, weighted, False, 0.3, None, 7)),
        "input_values_backward": (sparse_linear.input_values_backward, (values, crow, values, True, 0.3, mask, 0)),
        "sparse_linear": (sparse_linear.sparse_product, (crow, col, weighted, W, leaf(HIDDEN, seed=5))),
        "sparse_linear without bias": (sparse_linear.sparse_product, (crow, col, values, W, None)),
        "sparse_linear_backward": (
            sparse_linear.sparse_product_backward,
            (plain[0], crow, col, values, plain[1], True, True),
        ),
        "sparse_linear_backward to weight": (
            sparse_linear.sparse_product_backward,
            (plain[0], crow, col, values, plain[1], False, True),
        ),
        "multinomial_nll": (multinomial.nll, (leaf(BATCH, n), crow, col, weighted)),
        "multinomial_nll_backward": (
            multinomial.nll_backward,
            (grad, lse, leaf(BATCH, n).detach(), crow, col, values),
        ),
        "linear_multinomial_nll": (multinomial.linear_nll, (z, W, b, crow, col, values, True)),
        "linear_multinomial_nll of the decoder": (
            multinomial.linear_nll,
            (plain[0], W, None, crow, col, weighted, False),
        ),
        "linear_multinomial_nll_backward": (
            multinomial.linear_nll_backward,
            (grad, lse, *plain, crow, col, values, True),
        ),
        "linear_multinomial_nll_backward to bias": (
            multinomial.linear_nll_backward,
            (grad, lse, *plain, crow, col, values, False),
        ),
        "gram_product": (gram.gram_times, (E, crow, col, values, torch.rand(n, dtype=dtype).requires_grad_())),
        "ridge_inverse_backward": (inverse.ridge_inverse_backward, (A, A, True)),
        "ridge_inverse_backward to ridge": (inverse.ridge_inverse_backward, (A, A, False)),
        "composite_prior_logpdf": (prior.logpdf, (z, leaf(BATCH, HIDDEN, seed=6), z, *prior_options, True)),
        "composite_prior_logpdf jointly": (prior.logpdf, (z, leaf(BATCH, HIDDEN, seed=6), z, *prior_options, False)),
        "composite_prior_logpdf_backward": (
            prior.logpdf_backward,
            (grad, plain[0], plain[0], plain[0], *prior_options, True, True),
        ),
        "ridge_inverse": (inverse.ridge_inverse, (A, torch.rand(len(A), dtype=dtype).requires_grad_())),
    }


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_opcheck(name):
    operator, arguments = cases(torch.float32)[name]
    torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize("name", [name for name in CASES if "backward" not in name])
def test_gradcheck(name):
    operator, arguments = CASES[name]
    places = [i for i, a in enumerate(arguments) if isinstance(a, torch.Tensor) and a.requires_grad]

    def function(*leaves):
        filled = list(arguments)
        for place, leaf in zip(places, leaves, strict=True):
            filled[place] = leaf
        out = operator(*filled)
        return out[0] if isinstance(out, tuple) else out

    assert torch.autograd.gradcheck(function, [arguments[i].detach().clone().requires_grad_() for i in places])


def test_gradcheck_of_compositions():
    _, x = rows(30, ITEMS)

    def leaf(*shape):
        return normal(*shape).requires_grad_()

    def positive(value):
        return torch.tensor(value, dtype=torch.float64, requires_grad=True)

    check = torch.autograd.gradcheck
    assert check(lambda E, l2, a: F.implicit_slim(E, x, l2=l2, alpha=a), (leaf(ITEMS, 3), positive(0.7), positive(0.3)))
    assert check(symmetric(F.spd_inverse), spd(5).requires_grad_())
    family = symmetric(lambda G, l2, p, a, b: F.deql_weights(G, l2=l2, dropout=p, a=a, b=b))
    assert check(family, (spd(5).requires_grad_(), positive(2.0), positive(0.4), positive(1.0), positive(0.3)))
    assert check(
        family, (spd(5).requires_grad_(), positive([1.0, 2.0, 3.0, 4.0, 5.0]), *map(positive, (0.4, 1.0, 0.0)))
    )


def test_the_gradient_to_a_ridge_takes_no_product_for_the_gram_matrix():
    """And is the diagonal of the one for the whole matrix."""
    A = spd()
    C, upstream = torch.linalg.inv(A), normal(9, 9)
    whole, diagonal = inverse.ridge_inverse_backward(upstream, C, True)
    nothing, alone = inverse.ridge_inverse_backward(upstream, C, False)
    assert nothing.numel() == 0
    torch.testing.assert_close(alone, diagonal)
    torch.testing.assert_close(whole, -C @ upstream @ C)


def model_loss(x, W1, b1, W2, b2, mu, logvar):
    hidden = torch.tanh(F.sparse_linear(x, W1, b1, normalize=True, dropout=0.5, seed=3))
    prior_part = F.composite_prior_logpdf(hidden, mu, logvar)
    return (F.linear_multinomial_nll(hidden, W2, b2, x) - prior_part + F.multinomial_nll(hidden @ W2.T, x)).mean()


def model_arguments(dtype=torch.float32):
    _, x = rows(dtype=dtype)
    shapes = ((ITEMS, HIDDEN), (HIDDEN,), (ITEMS, HIDDEN), (ITEMS,), (BATCH, HIDDEN), (BATCH, HIDDEN))
    return F.csr_tensors(x), [normal(*shape, seed=i, dtype=dtype).requires_grad_() for i, shape in enumerate(shapes)]


@pytest.mark.heavy
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("dynamic", [None, True])
def test_compile(backend, dynamic):
    check_compiled(backend, dynamic)


def test_compile_without_a_backend():
    check_compiled("aot_eager", None)


def check_compiled(backend, dynamic):
    x, leaves = model_arguments()
    compiled = torch.compile(model_loss, backend=backend, dynamic=dynamic, fullgraph=True)
    for batch in (x, x.take([0, 1, 2])):
        arguments = [t if t.shape[0] != BATCH else t[: batch.shape[0]] for t in leaves]
        expected, found = model_loss(batch, *arguments), compiled(batch, *arguments)
        torch.testing.assert_close(found, expected)
        for mine, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_autocast():
    x, leaves = model_arguments()
    plain = model_loss(x, *leaves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model_loss(x, *leaves)
        gradients = torch.autograd.grad(mixed, leaves)
        assert F.sparse_linear(x, leaves[0]).dtype == torch.float32
        half = torch.zeros(BATCH, HIDDEN, dtype=torch.bfloat16, requires_grad=True)
        F.linear_multinomial_nll(half, leaves[2], None, x).sum().backward()
        assert half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(mixed, plain, rtol=1e-2, atol=1e-2)
    assert all(g.dtype == torch.float32 and torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", ["sparse_linear", "multinomial_nll", "linear_multinomial_nll"])
def test_what_is_not_asked_for_is_not_computed(name, monkeypatch):
    """No backward of the weights in an encoder's step, nor of z in a decoder's."""
    x, (W1, b1, W2, b2, *_) = model_arguments()
    calls = []
    originals = {
        (sparse_linear, "sparse_product_backward"): 6,
        (multinomial, "linear_nll_backward"): 8,
        (multinomial, "nll_backward"): None,
    }
    for (module, function), flag in originals.items():
        original = getattr(module, function)

        def spy(*arguments, original=original, flag=flag, function=function):
            calls.append((function, None if flag is None else arguments[flag]))
            return original(*arguments)

        monkeypatch.setattr(module, function, spy)
    if name == "sparse_linear":
        F.sparse_linear(x, W1.detach(), b1).sum().backward()
        assert calls == []
        F.sparse_linear(x, W1, b1).sum().backward()
        assert calls == [("sparse_product_backward", True)]
    elif name == "linear_multinomial_nll":
        z = normal(BATCH, HIDDEN, dtype=torch.float32)
        F.linear_multinomial_nll(z.requires_grad_(), W2.detach(), b2.detach(), x).sum().backward()
        assert calls == []
        F.linear_multinomial_nll(z.detach(), W2.detach(), b2, x).sum().backward()
        assert calls == [("linear_nll_backward", False)]
        with torch.no_grad():
            slope = multinomial.linear_nll(z, W2, b2, x.crow, x.col, x.values, False)[2]
        assert slope.numel() == 0
    else:
        weights = x.values.clone().requires_grad_()
        F.multinomial_nll(torch.zeros(x.shape), x._replace(values=weights)).sum().backward()
        assert calls == []


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_same_bits_for_any_number_of_threads(threads):
    """Shapes that make several tasks of everything."""
    _, x = rows(300, 5000, dtype=torch.float32, density=0.01)
    W, z, b = (normal(*shape, dtype=torch.float32).requires_grad_() for shape in ((5000, 40), (300, 40), (5000,)))

    def results():
        layer = F.sparse_linear(x, W, normalize=True, dropout=0.5, seed=1)
        losses = F.linear_multinomial_nll(z, W, b, x), F.multinomial_nll(layer @ W.detach().T, x)
        everything = layer.square().sum() + losses[0].sum() + losses[1].sum()
        return [layer, *losses, F.gram_product(W, x), *torch.autograd.grad(everything, (W, z, b))]

    threads(1)
    one = results()
    threads(2)
    for mine, other in zip(one, results(), strict=True):
        assert torch.equal(mine, other)


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
