"""Operators of autoencoders, forward and backward, beside plain torch on dense batches and on chunks: time, memory."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from .harness import Worker, earlier, save, timed

# The encoder's first layer and the decoder of RecVAE, at MovieLens-20M's shape and at MovieLens-1M's.
SHAPES = {"ml-20m shape": (500, 20_108, 86), "ml-1m shape": (500, 3_706, 166)}
HIDDEN, LATENT = 600, 200
REPEAT = 7
SHORT = (
    "linear",
    "swish_norm",
    "composite_prior_logpdf",
)  # milliseconds: many calls a turn, as to wake a thread takes longer
CALLS = 50


def batch(shape: str) -> Any:
    """A batch of ones with the data's number of items a user, popular items first."""
    import fastlae
    from fastlae.nn import functional as F

    users, items, length = SHAPES[shape]
    X = fastlae.data.make_interactions(20 * users, items, 20 * users * length, seed=0)
    return F.csr_tensors(X[:users])


def plain_nll(scores: Any, x: Any) -> Any:
    """As the authors of Mult-VAE and RecVAE write it."""
    import torch

    return -(torch.log_softmax(scores, 1) * x).sum(1)


def case(shape: str, what: str) -> dict[str, Callable[[], Any]]:
    """What is compared: functions that return the loss and the gradients."""
    import torch

    from fastlae.nn import functional as F
    from fastlae.nn.functional import _native

    x = batch(shape)
    rows, items = x.shape
    sparse = torch.sparse_csr_tensor(x.crow, x.col.long(), x.values, x.shape, check_invariants=True)
    generator = torch.Generator().manual_seed(0)

    def leaf(*size: int, scale: float = 1.0, wanted: bool = True) -> Any:
        return (scale * torch.randn(*size, generator=generator)).requires_grad_(wanted)

    if what == "sparse_linear":
        W, b = leaf(items, HIDDEN, scale=0.02), leaf(HIDDEN)

        def first_layer(layer: Callable[[], Any]) -> Any:
            out = layer()
            return (out, *torch.autograd.grad(out.square().sum(), (W, b)))

        noise = {"normalize": True, "dropout": 0.5, "seed": 1}
        mask = F.sparse_linear(x, torch.eye(items), dropout=0.5, seed=1) != 0

        def dense() -> Any:
            clean = torch.nn.functional.normalize(sparse.to_dense())
            return torch.where(mask, clean / 0.5, 0.0) @ W + b

        return {
            "fastlae": lambda: first_layer(lambda: F.sparse_linear(x, W, b, **noise)),
            "torch, dense batch": lambda: first_layer(dense),
        }
    if what == "multinomial_nll":
        z = leaf(rows, items)

        def of_scores(loss: Callable[[], Any]) -> Any:
            out = loss()
            return (out, *torch.autograd.grad(out.mean(), z))

        return {
            "fastlae": lambda: of_scores(lambda: F.multinomial_nll(z, x)),
            "torch, dense batch": lambda: of_scores(lambda: plain_nll(z, sparse.to_dense())),
        }
    if what in SHORT:
        return encoder_case(what, rows, leaf)
    step = what.partition(", ")[2]
    z = leaf(rows, LATENT, wanted=step != "decoder")
    W, b = (leaf(*size, scale=0.05, wanted=step != "encoder") for size in ((items, LATENT), (items,)))
    wanted = [t for t in (z, W, b) if t.requires_grad]

    def fused(loss: Callable[[], Any]) -> Any:
        out = loss()
        return (out, *torch.autograd.grad(out.mean(), wanted))

    def chunks() -> Any:
        native, _native.is_native = _native.is_native, lambda *_, **__: False
        try:
            return fused(lambda: F.linear_multinomial_nll(z, W, b, x))
        finally:
            _native.is_native = native

    def authors() -> Any:
        """All gradients, whoever needs them."""
        leaves = [t.detach().requires_grad_() for t in (z, W, b)]
        out = plain_nll(torch.nn.functional.linear(*leaves), sparse.to_dense())
        found = torch.autograd.grad(out.mean(), leaves)
        return (out, *(g for g, t in zip(found, (z, W, b), strict=True) if t.requires_grad))

    return {
        "fastlae": lambda: fused(lambda: F.linear_multinomial_nll(z, W, b, x)),
        "torch, chunks": chunks,
        "torch, dense batch": lambda: fused(lambda: plain_nll(torch.nn.functional.linear(z, W, b), sparse.to_dense())),
        "torch, dense batch, all gradients": authors,
    }


def encoder_case(what: str, rows: int, leaf: Callable[..., Any]) -> dict[str, Callable[[], Any]]:
    """What else a step of RecVAE's encoder takes, whatever the number of items."""
    import torch

    from fastlae.nn import functional as F

    if what == "linear":
        leaves = [leaf(rows, HIDDEN), leaf(HIDDEN, HIDDEN)]

        def ours() -> Any:
            return (F.linear(*leaves),)

        def plain() -> Any:
            return (torch.nn.functional.linear(*leaves),)
    elif what == "swish_norm":
        leaves = [leaf(rows, HIDDEN), leaf(HIDDEN), leaf(HIDDEN), leaf(HIDDEN), leaf(rows, HIDDEN)]

        def ours() -> Any:
            x, w, b, c, r = leaves
            return F.swish_norm(x, w, b, layer_bias=c, residual=r, with_total=True)

        def plain() -> Any:
            x, w, b, c, r = leaves
            h = torch.nn.functional.layer_norm(torch.nn.functional.silu(x + c + r), (HIDDEN,), w, b)
            return h, r + h
    else:
        leaves = [leaf(rows, LATENT)]
        mu, logvar = leaf(rows, LATENT, wanted=False), leaf(rows, LATENT, wanted=False)
        weights = torch.tensor([0.15, 0.75, 0.1]).log()[:, None, None]

        def ours() -> Any:
            return (F.composite_prior_logpdf(leaves[0], mu, logvar),)

        def plain() -> Any:
            z = leaves[0]
            normals = [(torch.zeros(()), torch.zeros(())), (mu, logvar), (torch.zeros(()), torch.tensor(10.0))]
            logs = [-0.5 * (1.8378770664 + lv + (z - m).square() / lv.exp()) for m, lv in normals]
            return (torch.logsumexp(torch.stack(logs) + weights, 0).sum(1),)

    def with_gradients(function: Callable[[], Any]) -> Any:
        out = function()
        return (*out, *torch.autograd.grad(out, leaves, [torch.ones_like(t) for t in out]))

    return {"fastlae": lambda: with_gradients(ours), "torch": lambda: with_gradients(plain)}


def compare(shape: str, what: str) -> dict[str, Any]:
    """Equal values and gradients, then memory of one call and seconds in turns."""
    import warnings

    from .harness import alternate, median

    warnings.filterwarnings("ignore", message="Sparse CSR tensor")
    contenders = case(shape, what)
    first, *others = ([t.detach() for t in call()] for call in contenders.values())
    for name, other in zip(list(contenders)[1:], others, strict=True):
        for mine, theirs in zip(first, other, strict=True):
            error = float((mine - theirs).abs().max() / theirs.abs().max())
            if not error < 1e-4:
                raise SystemExit(f"{what}: fastlae and {name} differ by {error:.1e}")
    del first, others, other, mine, theirs
    memory = {name: timed(call)[1]["added_gb"] for name, call in contenders.items()}
    calls = CALLS if what in SHORT else 1

    def turn(call: Callable[[], Any]) -> None:
        for _ in range(calls):
            call()

    turns = {name: functools.partial(turn, call) for name, call in contenders.items()}
    times = alternate(turns, repeat=REPEAT, pause=0.05)
    found = {name: [t / calls for t in spent] for name, spent in times.items()}
    return {name: {"seconds": median(t), "added_mb": round(1000 * memory[name])} for name, t in found.items()}


def main() -> None:
    """Every operator at both shapes, or some beside what an earlier run has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="operators by name")
    only = parser.parse_args().only
    old = (earlier("nn_functional") or {"rows": []})["rows"] if only else []
    rows = [row for row in old if row["what"] not in only]
    steps = [f"linear_multinomial_nll, {step}" for step in ("encoder", "decoder", "both")]
    for shape in SHAPES:
        more = SHORT if shape == next(iter(SHAPES)) else ()  # no items in them
        for what in ("sparse_linear", "multinomial_nll", *steps, *more):
            if only and what not in only:
                continue
            with Worker() as worker:
                found = worker.call("bench.nn_functional:compare", shape, what)
            found.pop("peak_gb")
            rows.append({"shape": shape, "what": what, "contenders": found})
    save("nn_functional", {"batch": 500, "hidden": HIDDEN, "latent": LATENT, "rows": rows})


if __name__ == "__main__":
    main()
