"""The functions of fastlae.nn.functional as operators of torch: opcheck, gradcheck, compile, autocast, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib import import_module

import pytest
import torch

from fastlae import _core
from fastlae.nn import functional as F
from fastlae.nn.functional import gram, inverse, multinomial, prior
from torch_cases import BATCH, HIDDEN, ITEMS, normal, rows, spd, symmetric

# The package's functions have the same names as their modules.
sparse_linear = import_module("fastlae.nn.functional.sparse_linear")
swish_norm = import_module("fastlae.nn.functional.swish_norm")
linear = import_module("fastlae.nn.functional.linear")
# torch's compiler warns of what it imports, and of what it looks at itself
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]


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
        "linear": (linear.product, (z, leaf(4, HIDDEN, seed=6))),
        "linear_backward": (
            linear.product_backward,
            (normal(BATCH, 4, dtype=dtype), plain[0], plain[1][:4], True, True),
        ),
        "linear_backward to weight": (
            linear.product_backward,
            (normal(BATCH, 4, dtype=dtype), plain[0], plain[1][:4], False, True),
        ),
        "swish_norm": (
            swish_norm.activation,
            (z, leaf(HIDDEN, seed=8), None, leaf(HIDDEN), leaf(HIDDEN, seed=5), 0.1, False),
        ),
        "swish_norm with its total": (
            swish_norm.activation,
            (z, None, leaf(BATCH, HIDDEN, seed=6), leaf(HIDDEN), leaf(HIDDEN, seed=5), 0.1, True),
        ),
        "swish_norm_backward": (
            swish_norm.activation_backward,
            (plain[0], plain[0], plain[0], lse[:HIDDEN], plain[0], lse[:HIDDEN], lse, lse),
        ),
        "swish_norm_backward without total": (
            swish_norm.activation_backward,
            (plain[0], None, plain[0], None, None, lse[:HIDDEN], lse, lse),
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


def model_loss(x, W1, b1, W2, b2, mu, logvar):
    hidden = torch.tanh(F.sparse_linear(x, W1, b1, normalize=True, dropout=0.5, seed=3))
    hidden = F.swish_norm(F.linear(hidden, W2[:HIDDEN]), b1, b1, layer_bias=b1, residual=mu, with_total=True)[1]
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


def test_kernels_run_on_torchs_threads_within_an_operator_alone(monkeypatch):
    """Theirs spin after every region, and ours would share the cores with them."""
    states = []
    native = sparse_linear._native.sparse_linear

    def spy(*arguments):
        states.append(_core.use_openmp(True))
        return native(*arguments)

    monkeypatch.setattr(sparse_linear._native, "sparse_linear", spy)
    _, x = rows()
    F.sparse_linear(x, normal(ITEMS, HIDDEN))
    assert states == [True]
    assert _core.use_openmp(False) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own():
    """OpenMP's do not exist there, and its runtime would wait for them."""
    code = """
        import os, signal, torch
        from fastlae.nn import functional as F
        torch.set_num_threads(2)
        x, w = torch.randn(200, 64), torch.randn(300, 64)
        expected = F.linear(x, w)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if (F.linear(x, w).numpy() == expected.numpy()).all() else 1)  # torch.equal would wait
        print(os.waitpid(child, 0)[1])
    """
    run = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    assert subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout.strip() == "0"


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_same_bits_for_any_number_of_threads(threads):
    """Shapes that make several tasks of everything."""
    _, x = rows(300, 5000, dtype=torch.float32, density=0.01)
    shapes = (5000, 40), (300, 40), (40,), (5000,)
    W, z, w, b = (normal(*shape, dtype=torch.float32).requires_grad_() for shape in shapes)

    def results():
        layer = F.sparse_linear(x, W, normalize=True, dropout=0.5, seed=1)
        losses = F.linear_multinomial_nll(z, W, b, x), F.multinomial_nll(layer @ W.detach().T, x)
        h, total = F.swish_norm(z, w, w, layer_bias=w, residual=layer, with_total=True)
        density = F.composite_prior_logpdf(F.linear(total, W[:40]), z, h)
        everything = losses[0].sum() + losses[1].sum() + density.sum() + (h * total).sum()
        return [layer, *losses, h, total, density, F.gram_product(W, x), *torch.autograd.grad(everything, (W, z, w, b))]

    threads(1)
    one = results()
    threads(2)
    for mine, other in zip(one, results(), strict=True):
        assert torch.equal(mine, other)
