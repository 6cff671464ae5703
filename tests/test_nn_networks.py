"""Networks, losses and schedules of the neural recommenders against the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from neural_cases import SHOWN, X, equal, parameters, small

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")

F = torch.nn.functional
SWITCHES = ("dense_encoder", "composite_prior", "user_beta", "alternating", "clean_decoder")


# Against the papers.


def normalized(x):
    return x / x.square().sum(1, keepdim=True).sqrt().clamp_min(1e-10)


def dense_encoder(e, x):
    """Figure 3, written out."""
    swish = [lambda t: t * torch.sigmoid(t)] * 5
    norm = [lambda t, n=n: F.layer_norm(t, t.shape[1:], n.weight, n.bias, 0.1) for n in e.norms]
    h1 = norm[0](swish[0](x @ e.first.weight + e.first.bias))
    h2 = norm[1](swish[1](e.layers[0](h1) + h1))
    h3 = norm[2](swish[2](e.layers[1](h2) + h1 + h2))
    h4 = norm[3](swish[3](e.layers[2](h3) + h1 + h2 + h3))
    h5 = norm[4](swish[4](e.layers[3](h4) + h1 + h2 + h3 + h4))
    both = e.both(h5)
    return both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]


def log_normal(z, mean, logvar):
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mean) ** 2 / logvar.exp())


def recvae_loss(module, prior, x, noise, model):
    """(17) to (20) for a dense batch without noise in the input."""
    mean, logvar = dense_encoder(module.encoder, normalized(x))
    z = mean + (0.5 * logvar).exp() * noise
    with torch.no_grad():
        old = dense_encoder(prior, normalized(x))
    zero = torch.zeros_like(z)
    parts = [log_normal(z, zero, zero), log_normal(z, *old), log_normal(z, zero, zero + model.wide_logvar)]
    if not model.per_coordinate:
        parts = [part.sum(1) for part in parts]
    mixed = torch.stack([p + math.log(w) for p, w in zip(parts, model.prior_weights, strict=True)])
    mixed = torch.logsumexp(mixed, 0)
    log_p = mixed.sum(1) if model.per_coordinate else mixed
    if model.composite_prior:
        divergence = log_normal(z, mean, logvar).sum(1) - log_p
    else:
        divergence = 0.5 * (logvar.exp() + mean**2 - 1 - logvar).sum(1)
    beta = model.gamma * x.sum(1) if model.user_beta else model.beta
    nll = -(torch.log_softmax(z @ module.decoder.T + module.bias, 1) * x).sum(1)
    return (nll + beta * divergence).mean(), nll.mean()


class Watched:
    """One batch of all users; what the trainer's steps leave as gradients."""

    def __init__(self, model, double=True):
        from fastlae._sparse import as_csr
        from fastlae.nn.recvae import _Alternation

        self.model = model
        self.module = model._made(X.shape)
        if double:
            self.module.double()
        weighted = X.copy()
        weighted.data[::3] = 2.0
        weighted = sp.vstack([weighted, sp.csr_matrix((1, 25), dtype=np.float32)]).tocsr()  # and a user with nothing
        self.dense = torch.from_numpy(weighted.toarray()).double()
        self.x = nn.functional.csr_tensors(as_csr(weighted, dtype=np.float64), dtype=torch.float64)
        self.generator = torch.Generator().manual_seed(4)
        self.trainer = _Alternation(model, self.module, self.x, self.generator)
        with torch.no_grad():  # an encoder that differs from the prior
            for p in self.module.encoder.parameters():
                p.mul_(1.1)
        self.trainer.encoder_optimizer = torch.optim.SGD(self.module.encoder.parameters(), 0.0)
        self.trainer.decoder_optimizer = torch.optim.SGD((self.module.decoder, self.module.bias), 0.0)
        self.rows = torch.arange(self.x.shape[0])

    def noise(self):
        generator = torch.Generator().manual_seed(4)
        return torch.randn(self.x.shape[0], self.model.latent, generator=generator)


class Losses:
    def __init__(self):
        self.seen = []

    def step(self, loss, samples, name="loss"):
        self.seen.append((name, float(loss.detach())))


@pytest.mark.parametrize(
    "options",
    [{}, {"per_coordinate": False}, {"composite_prior": False}, {"user_beta": False}, {"alternating": False}],
    ids=lambda o: next(iter(o), "all"),
)
def test_an_encoder_step_has_the_papers_loss_and_gradients(options):
    model = small("RecVAE", dropout=0.0, gamma=0.02, **options)
    watched = Watched(model, double=False)
    losses = Losses()
    watched.module.float()
    x = watched.x.to(dtype=torch.float32)
    watched.trainer._encoder_step(watched.rows, x, losses)
    got = {k: p.grad for k, p in watched.module.named_parameters()}
    loss, _ = recvae_loss(watched.module, watched.trainer.prior, watched.dense.float(), watched.noise(), model)
    named = dict(watched.module.named_parameters())
    want = dict(zip(named, torch.autograd.grad(loss, named.values()), strict=True))
    assert losses.seen[0][1] == pytest.approx(float(loss.detach()), rel=1e-5)
    for key in named:
        if key in ("decoder", "bias") and model.alternating:
            assert got[key] is None  # no gradient of the decoder is computed
        else:
            torch.testing.assert_close(got[key], want[key], rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("clean", [True, False])
def test_a_decoder_step_has_the_likelihoods_gradient_alone(clean, monkeypatch):
    model = small("RecVAE", dropout=0.0, clean_decoder=clean)
    watched = Watched(model, double=False)
    losses = Losses()
    x = watched.x.to(dtype=torch.float32)
    monkeypatch.setattr(nn.functional, "composite_prior_logpdf", None)  # nothing of the prior is computed
    watched.trainer._decoder_step(watched.rows, x, losses)
    assert all(p.grad is None for p in watched.module.encoder.parameters())
    _, nll = recvae_loss(watched.module, watched.trainer.prior, watched.dense.float(), watched.noise(), model)
    want = torch.autograd.grad(nll, (watched.module.decoder, watched.module.bias))
    torch.testing.assert_close(watched.module.decoder.grad, want[0], rtol=2e-4, atol=2e-6)
    torch.testing.assert_close(watched.module.bias.grad, want[1], rtol=2e-4, atol=2e-6)
    assert losses.seen[0][0] == "decoder_loss"
    assert losses.seen[0][1] == pytest.approx(float(nll.detach()), rel=1e-5)


def test_encoders_and_vectors():
    for name in ("RecVAE", "MultVAE", "MultDAE"):
        model = small(name).fit(X)
        module, x = model.module_, normalized(torch.from_numpy(X.toarray()))
        with torch.no_grad():
            if name == "RecVAE":
                vectors = dense_encoder(module.encoder, x)[0]
            elif name == "MultVAE":
                e = module.encoder
                mean = e.both(torch.tanh(x @ e.first.weight + e.first.bias))[:, :4]
                vectors = torch.tanh(module.hidden(mean))
            else:
                vectors = torch.tanh(x @ module.first.weight + module.first.bias)
            scores = vectors @ module.decoder.T + module.bias
        np.testing.assert_allclose(model.user_vectors(X), vectors.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.score(X), scores.numpy(), rtol=1e-4, atol=1e-5)


def test_cdae_without_its_users(tmp_path):
    model = small("CDAE").fit(SHOWN)
    model.save(tmp_path / "m", with_users=False)
    loaded = fastlae.load(tmp_path / "m")
    assert loaded.module_.users.weight.shape[0] == 1
    assert model.module_.users.weight.shape[0] == SHOWN.shape[0]
    np.testing.assert_allclose(loaded.score(X), model.score(X), rtol=1e-5, atol=1e-6)


def test_cdae_vectors_and_loss():
    model = small("CDAE").fit(SHOWN)
    module, x = model.module_, torch.from_numpy(X.toarray())
    for unseen in ("mean", "zero"):
        module.unseen = unseen
        own = module.users.weight.mean(0) if unseen == "mean" else 0.0
        with torch.no_grad():
            vectors = torch.sigmoid(x @ module.weight + module.offset + own)
        np.testing.assert_allclose(model.user_vectors(X), vectors.numpy(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        own = torch.sigmoid(x @ module.weight + module.offset + module.users.weight)
        scores = (own @ module.decoder.T + module.bias).numpy()
    ids = SHOWN.user_ids[[5, 2]]
    np.testing.assert_allclose(model.score(users=ids), scores[[5, 2]], rtol=1e-4, atol=1e-5)
    hidden = np.where(X.toarray()[[5, 2]] > 0, -np.inf, scores[[5, 2]])
    best = SHOWN.item_ids[np.argsort(-hidden, axis=1)[:, :3]]
    np.testing.assert_array_equal(model.recommend(users=ids, k=3)[0], best)

    # With every item drawn so often that the sum over negatives can be told: a user of all items has none.
    full = nn.functional.csr_tensors(sp.csr_matrix(np.ones((2, 25), np.float32)))
    z = torch.rand(2, 8)
    got = model._loss(module, z, full, torch.Generator().manual_seed(0))
    logits = z @ module.decoder.T + module.bias
    torch.testing.assert_close(got, F.softplus(-logits).sum() / 2)
    few = nn.functional.csr_tensors(sp.csr_matrix(np.eye(2, 25, dtype=np.float32)))
    model.negatives = 40_000
    got = model._loss(module, z, few, torch.Generator().manual_seed(0))
    logits, mine = z @ module.decoder.T + module.bias, torch.eye(2, 25, dtype=torch.bool)
    want = (F.softplus(-logits[mine]).sum() + 40_000 / 25 * F.softplus(logits[~mine]).sum()) / 2
    torch.testing.assert_close(got, want, rtol=0.01, atol=0.0)
    left, right = torch.rand(4, 3).double().requires_grad_(), torch.rand(5, 3).double().requires_grad_()
    pairs = torch.tensor([0, 0, 3, 2]), torch.tensor([4, 4, 1, 0])
    assert torch.autograd.gradcheck(lambda a, b: fastlae.nn.cdae._PairProducts.apply(a, b, *pairs), (left, right))


def test_hvamp_terms():
    model = small("HVamp").fit(X)
    m, x = model.module_, torch.from_numpy(X.toarray())
    csr = nn.functional.csr_tensors(X)
    model.dropout = 0.0
    nll, divergence = model._terms(m, csr, None, torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(2)
    eps2, eps1 = (torch.randn(60, 4, generator=generator) for _ in range(2))

    def gate(h, weight, bias):
        a, b = (h @ weight.T + bias).chunk(2, 1)
        return a * torch.sigmoid(b)

    def normal(h, layer):
        mean, logvar = (h @ layer.both.weight.T + layer.both.bias).chunk(2, 1)
        return mean, logvar.clamp(-12, 4)

    def layer(h, one):
        return gate(h, one.both.weight, one.both.bias)

    def first(rows, half):
        part = slice(16 * half, 16 * half + 16)
        return gate(normalized(rows), m.first.weight[:, part].T, m.first.bias[part])

    def q2(rows):
        return normal(layer(first(rows, 0), m.q2_second), m.q2)

    mean2, logvar2 = q2(x)
    z2 = mean2 + (logvar2 / 2).exp() * eps2
    mean1, logvar1 = normal(layer(torch.cat([first(x, 1), layer(z2, m.q1_z2)], 1), m.q1_joint), m.q1)
    z1 = mean1 + (logvar1 / 2).exp() * eps1
    p1 = normal(layer(layer(z2, m.p1_first), m.p1_second), m.p1)
    last = layer(torch.cat([layer(z1, m.x_z1), layer(z2, m.x_z2)], 1), m.x_joint)
    parts = torch.stack([log_normal(z2, *(t[k] for t in q2(m.pseudo))).sum(1) for k in range(5)])
    log_p = log_normal(z1, *p1).sum(1) + torch.logsumexp(parts, 0) - math.log(5)
    log_q = log_normal(z1, mean1, logvar1).sum(1) + log_normal(z2, mean2, logvar2).sum(1)
    want = -(torch.log_softmax(last @ m.decoder.T + m.bias, 1) * x).sum(1)
    torch.testing.assert_close(nll, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(divergence, log_q - log_p, rtol=1e-3, atol=1e-3)


def test_ract_learns_to_foresee_the_ranking():
    model = small("RaCT").fit(X)
    module, x = model.module_, nn.functional.csr_tensors(X)
    mask = torch.rand(len(x.col), generator=torch.Generator().manual_seed(1)) >= 0.5
    with torch.no_grad():
        vectors = module.vectors(x)
        got = model._ndcg(module, vectors, x, mask).numpy()
    shown, hidden = X.copy(), X.copy()
    shown.data, hidden.data = np.where(mask, X.data, 0), np.where(mask, 0, X.data)
    scores = (vectors @ module.decoder.T + module.bias).detach().numpy()
    top, _ = fastlae.ops.topk(scores, k=100, hidden=shown)
    want = fastlae.evaluation.ndcg(top, hidden, k=100).per_user
    np.testing.assert_allclose(got, np.nan_to_num(want), rtol=1e-5)
    history = small("RaCT", epochs=60, critic_epochs=57).fit(X).history_
    assert [sorted({"loss", "critic_loss"} & row.keys()) for row in (history[0], history[1], history[-1])] == [
        ["loss"],
        ["critic_loss"],
        ["critic_loss", "loss"],
    ]
    assert history[57]["critic_loss"] < history[1]["critic_loss"]
    critic_only = small("RaCT", epochs=2).fit(X)
    assert equal(parameters(critic_only), parameters(small("RaCT", epochs=1).fit(X)))  # the actor rests


# The schedule.


class Counting:
    def __init__(self, monkeypatch, model):
        from fastlae.nn.recvae import _Alternation

        self.calls = []
        for kind in ("_encoder_step", "_decoder_step", "_posteriors"):
            inner = getattr(_Alternation, kind)

            def step(trainer, *args, inner=inner, kind=kind):
                before = {k: v.clone() for k, v in trainer.module.state_dict().items()}
                result = inner(trainer, *args)
                after = trainer.module.state_dict()
                changed = {k.split(".")[0] for k in after if not torch.equal(before[k], after[k])}
                pairs = zip(trainer.prior.parameters(), trainer.module.encoder.parameters(), strict=True)
                same_prior = all(torch.equal(a, b) for a, b in pairs)
                self.calls.append((kind, changed, same_prior))
                return result

            monkeypatch.setattr(_Alternation, kind, step)
        model.fit(X)


def test_three_encoder_passes_then_the_prior_then_one_of_the_decoder(monkeypatch):
    calls = Counting(monkeypatch, small("RecVAE", epochs=2, batch_size=20)).calls
    kinds = "".join(kind[1] for kind, _, _ in calls)
    assert kinds == "p" + "eeeeeeeee" + "p" + "ddd" + "eeeeeeeee" + "p" + "ddd"
    for kind, changed, same_prior in calls[1:]:
        if kind == "_encoder_step":
            assert changed == {"encoder"}
            assert not same_prior
        else:
            assert same_prior  # it was renewed before the decoder's pass, and stays
            assert changed == ({"decoder", "bias"} if kind == "_decoder_step" else set())


def test_without_alternating_there_is_one_pass_for_all(monkeypatch):
    calls = Counting(monkeypatch, small("RecVAE", epochs=1, batch_size=20, alternating=False)).calls
    steps = [changed for kind, changed, _ in calls if kind == "_encoder_step"]
    assert steps == [{"encoder", "decoder", "bias"}] * 3
    assert not [kind for kind, _, _ in calls if kind == "_decoder_step"]


def test_posteriors_that_are_not_kept_are_computed_again(monkeypatch):
    kept = small("RecVAE", epochs=2).fit(X)
    monkeypatch.setattr("fastlae.nn.recvae._CACHE", 0)
    again = small("RecVAE", epochs=2).fit(X)
    for key, value in parameters(kept).items():
        np.testing.assert_allclose(parameters(again)[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("off", [*SWITCHES, "per_coordinate"])
def test_every_novelty_can_be_left_out(off):
    model = small("RecVAE", **{off: False}).fit(X)
    assert not equal(parameters(model), parameters(small("RecVAE").fit(X)))
    assert model.history_[-1]["loss"] < model.history_[0]["loss"] + 1
    assert np.isfinite(model.score(X)).all()


def test_all_left_out():
    model = small("RecVAE", **dict.fromkeys(SWITCHES, False)).fit(X)
    assert np.isfinite(model.score(X)).all()


def test_beta_rises_to_its_value():
    flat = small("MultVAE", beta=0.0).fit(X)
    rising = small("MultVAE", beta=50.0, anneal_epochs=10_000_000).fit(X)
    for key, value in parameters(flat).items():
        np.testing.assert_allclose(parameters(rising)[key], value, rtol=1e-2, atol=1e-3)
    assert small("MultVAE", beta=5.0, anneal_epochs=0).fit(X).history_[0]["loss"] > flat.history_[0]["loss"]
