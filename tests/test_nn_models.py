"""Neural recommenders: networks and losses against the papers' formulas, training, files, and odd input."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.errors import ModelFileError, NotFittedError

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")

F = torch.nn.functional
X = fastlae.data.make_interactions(n_users=60, n_items=25, n_interactions=500, seed=1).astype(np.float32)
SHOWN = fastlae.Interactions.from_matrix(X, item_ids=[f"item {i}" for i in range(25)])
SMALL = {
    "RecVAE": {"hidden": 8, "latent": 4},
    "MultVAE": {"hidden": 8, "latent": 4},
    "MultDAE": {"hidden": 8},
    "CDAE": {"hidden": 8},
    "HVamp": {"hidden": 8, "latent": 4, "pseudo_inputs": 5},
    "RaCT": {"hidden": 8, "latent": 4, "actor_epochs": 1, "critic_epochs": 1, "critic_rate": 0.01, "joint_rate": 1e-3},
}
SWITCHES = ("dense_encoder", "composite_prior", "user_beta", "alternating", "clean_decoder")


def small(name, **options):
    return getattr(nn, name)(**{**SMALL[name], "epochs": 3, "batch_size": 16, "num_threads": 1, **options})


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def parameters(model):
    return {key: value.numpy().copy() for key, value in model.module_.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


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


# What models learn, and keep.


def test_it_learns_what_belongs_together(name):
    blocks = sp.csr_matrix(np.kron(np.eye(4), np.ones((12, 6))), dtype=np.float32)
    shown = blocks.copy()
    shown.data[np.random.default_rng(0).random(shown.nnz) < 0.4] = 0
    shown.eliminate_zeros()
    options = {"epochs": 60, "learning_rate": 0.02}
    if name == "CDAE":
        options = {"epochs": 100, "learning_rate": 0.1, "weight_decay": 0.0}
    if name == "RaCT":
        options |= {"actor_epochs": 58, "critic_epochs": 1, "joint_rate": 1e-6}
    model = small(name, batch_size=48, seed=3, **options).fit(shown)
    items, scores = model.recommend(sp.csr_matrix(np.eye(24, dtype=np.float32)), k=5)
    assert (items // 6 == np.arange(24)[:, None] // 6).mean() > 0.9
    assert (np.diff(scores, axis=1) <= 0).all()


def test_seeds(name):
    state = torch.random.get_rng_state()
    first, again, other = (small(name, seed=s).fit(X) for s in (1, 1, 2))
    assert equal(parameters(first), parameters(again))
    assert not equal(parameters(first), parameters(other))
    assert torch.equal(torch.random.get_rng_state(), state)  # torch's own generator is left alone
    assert first.equals(again)


def test_validation_keeps_the_best_epoch(name):
    split = fastlae.data.split_strong(X, seed=0, validation=20, test=5)
    pair = (split.validation_fold_in, split.validation_targets)
    seen = []
    model = small(name, epochs=6, patience=2).fit(
        split.train, validation=pair, k=10, callback=lambda m: seen.append(m.score(split.validation_fold_in).copy())
    )
    scores = [row["ndcg@10"] for row in model.history_]
    assert len(seen) == len(scores)
    np.testing.assert_array_equal(model.score(split.validation_fold_in), seen[int(np.argmax(scores))])
    found = fastlae.evaluation.evaluate(model, *pair, k=10, protocol="strong")
    assert float(found["ndcg@10"]) == max(scores)


@pytest.mark.parametrize("options", [{}, {"slim_every": 2, "slim_l2": 2.0}], ids=["plain", "with ImplicitSLIM"])
def test_it_resumes_bit_by_bit(name, options, tmp_path):
    whole = small(name, epochs=5, **options).fit(X)
    path = tmp_path / "checkpoint"
    small(name, epochs=3, **options).fit(X, checkpoint=path)
    again = small(name, epochs=5, **options).fit(X, checkpoint=path)
    assert equal(parameters(again), parameters(whole))
    assert [row.get("loss") for row in again.history_] == [row.get("loss") for row in whole.history_]
    assert [row["refreshed"] for row in again.history_] == [bool(options) and e % 2 == 0 for e in (1, 2, 3, 4, 5)]


def test_a_checkpoint_of_another_architecture(name, tmp_path):
    path = tmp_path / "checkpoint"
    small(name).fit(X, checkpoint=path)
    with pytest.raises(ModelFileError, match="hidden 8 there, 9 here"):
        small(name, hidden=9).fit(X, checkpoint=path)
    with pytest.raises(ModelFileError, match="interactions"):
        small(name).fit(X[::-1], checkpoint=path)
    other = "MultDAE" if name != "MultDAE" else "CDAE"
    with pytest.raises(ModelFileError, match=f"model '{name}' there"):
        small(other).fit(X, checkpoint=path)


def test_saved_and_loaded(name, tmp_path):
    model = small(name).fit(SHOWN)
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = fastlae.load(path)
    assert loaded.equals(model)
    assert loaded.history_ == model.history_
    np.testing.assert_array_equal(loaded.score(X), model.score(X))


def test_loaded_where_torch_is_not_imported_yet(tmp_path):
    name, path = "MultDAE", tmp_path / "model.safetensors"
    small(name).fit(SHOWN).save(path)
    code = (
        "import sys, fastlae; assert 'torch' not in sys.modules; "
        f"m = fastlae.load({str(path)!r}); print(type(m).__name__); m.recommend(users=m.interactions_.user_ids[:2])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(name)


def test_a_file_that_needs_torch_says_so_without(tmp_path):
    path = tmp_path / "model.safetensors"
    small("MultDAE").fit(X).save(path)
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastlae; fastlae.load({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "either it needs torch, which cannot be imported here (no torch here)" in done.stderr


def test_recommending_is_the_best_of_the_scores(name):
    model = small(name).fit(X)
    scores = model.score(X)
    items, best = model.recommend(X, k=4)
    hidden = np.where(X.toarray() > 0, -np.inf, scores)
    hidden[:, np.asarray(X.sum(axis=0)).ravel() == 0] = -np.inf
    want = np.argsort(-hidden, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(items, want)
    np.testing.assert_allclose(best, np.take_along_axis(hidden, want, 1), rtol=1e-5)


def test_items_alike_and_reasons(name):
    model = small(name).fit(SHOWN)
    E = model.item_embeddings_
    cosines = (E @ E[3]) / np.linalg.norm(E, axis=1) / np.linalg.norm(E[3])
    cosines[3] = -np.inf
    ids, found = model.similar_items(["item 3"], k=2)
    assert ids[0].tolist() == [f"item {i}" for i in np.argsort(-cosines)[:2]]
    np.testing.assert_allclose(found[0], np.sort(cosines)[::-1][:2], rtol=1e-4)

    x = sp.csr_matrix(X[7])
    items, parts = model.explain(x, 5, k=3)
    want = {}
    for i in x.indices:
        without = x.copy()
        without[0, i] = 0
        without.eliminate_zeros()
        want[i] = (model.score(x) - model.score(without))[0, 5]
    order = sorted(want, key=lambda i: -want[i])[:3]
    np.testing.assert_allclose(parts, [want[i] for i in order], atol=1e-4)
    assert items.tolist() == order
    assert len(model.explain(SHOWN.user_ids[7], "item 5", k=30)[0]) == x.nnz


def test_implicit_slim_replaces_the_weights_of_items(name):
    plain, options = small(name, epochs=1).fit(X), {"slim_every": 1, "slim_l2": 2.0, "slim_alpha": 0.5}
    refreshed = small(name, epochs=1, **options).fit(X)
    before, after = plain.module_.item_weights(), refreshed.module_.item_weights()
    assert len(before) == 2
    for a, b in zip(before, after, strict=True):
        want = fastlae.ops.implicit_slim(a.detach().numpy(), X, l2=2.0, alpha=0.5)
        np.testing.assert_allclose(b.detach().numpy(), want, rtol=1e-5, atol=1e-6)
    assert refreshed.history_[0]["refreshed"]


def test_half_precision(name):
    model = small(name, precision="bfloat16").fit(X)
    assert model.module_.decoder.dtype == torch.float32
    assert np.isfinite(model.score(X)).all()
    assert model.history_[0]["loss"] == pytest.approx(small(name).fit(X).history_[0]["loss"], rel=0.02)


# Odd input.


def test_users_without_items(name):
    empty = sp.vstack([sp.csr_matrix((3, 25)), X, sp.csr_matrix((2, 25))]).tocsr().astype(np.float32)
    model = small(name, batch_size=2, epochs=2).fit(empty)
    assert np.isfinite(model.score(empty)).all()
    assert all(math.isfinite(value) for row in model.history_ for value in row.values())
    items, scores = model.recommend(sp.csr_matrix((1, 25)), k=2)
    assert items.tolist() == [[-1, -1]]
    assert np.isneginf(scores).all()


def test_a_batch_of_one_and_one_user(name):
    assert np.isfinite(small(name, batch_size=1, epochs=1).fit(X[:7]).score(X)).all()
    assert np.isfinite(small(name).fit(X[:1]).score(X)).all()


def test_wider_than_there_are_items(name):
    wide = {key: 40 for key in SMALL[name] if key in ("hidden", "latent", "pseudo_inputs")}
    assert np.isfinite(small(name, **wide, epochs=2).fit(X).score(X)).all()


def test_one_item(name):
    model = small(name).fit(sp.csr_matrix(np.ones((5, 1), np.float32)))
    assert model.recommend(sp.csr_matrix([[1.0]]), k=1, exclude_seen=False)[0].tolist() == [[0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_ratings_that_are_no_ratings(name, bad):
    broken = X.copy()
    broken.data[5] = bad
    with pytest.raises(ValueError, match=r"X: expected (finite|non-negative) values"):
        small(name).fit(broken)
    model = small(name).fit(X)
    with pytest.raises(ValueError, match=r"X: expected (finite|non-negative) values"):
        model.recommend(broken)


def test_no_interactions(name):
    with pytest.raises(ValueError, match="expected interactions, got none"):
        small(name).fit(sp.csr_matrix((4, 6)))


def test_not_fitted(name, tmp_path):
    for call in (lambda m: m.score(X), lambda m: m.recommend(X), lambda m: m.similar_items([1]), lambda m: m.to("cpu")):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(small(name))
    with pytest.raises(NotFittedError):
        small(name).save(tmp_path / "m")


def test_a_failed_fit_leaves_the_model_as_it_was(name):
    model = small(name).fit(SHOWN)
    before = parameters(model)
    model.set_params(learning_rate=1e30, epochs=20)
    with pytest.raises((FloatingPointError, ValueError)):
        model.fit(X)
    assert equal(parameters(model), before)
    assert model.interactions_.equals(SHOWN)


@pytest.mark.parametrize(
    ("cls", "options", "error"),
    [
        ("RecVAE", {"hidden": 0}, "hidden"),
        ("RecVAE", {"latent": 2.5}, "latent"),
        ("RecVAE", {"dropout": 1.0}, "dropout: expected a number of at least 0 and less than 1"),
        ("RecVAE", {"gamma": -1}, "gamma"),
        ("RecVAE", {"prior_weights": (0.5, 0.5)}, "prior_weights: expected three positive numbers"),
        ("RecVAE", {"prior_weights": (0.5, 0.6, 0.1)}, "prior_weights: expected three positive numbers"),
        ("RecVAE", {"learning_rate": 0}, "learning_rate"),
        ("RecVAE", {"encoder_passes": 0}, "encoder_passes"),
        ("MultVAE", {"anneal_epochs": -1}, "anneal_epochs"),
        ("MultVAE", {"beta": math.nan}, "beta"),
        ("MultDAE", {"weight_decay": -1}, "weight_decay"),
        ("CDAE", {"unseen": "none"}, "unseen: expected one of 'mean', 'zero'"),
        ("CDAE", {"negatives": 0}, "negatives"),
        ("HVamp", {"pseudo_inputs": 0}, "pseudo_inputs"),
        ("HVamp", {"warm_up": -1}, "warm_up"),
        ("RaCT", {"critic_epochs": 0}, "critic_epochs"),
        ("RaCT", {"joint_rate": 0}, "joint_rate"),
        ("RaCT", {"dropout": 0.0}, "dropout: expected more than 0"),
        ("MultDAE", {"precision": "float16"}, "precision: expected one of 'float32', 'bfloat16'"),
        ("MultDAE", {"device": "tpu"}, "device: expected None, 'cpu' or 'cuda', got 'tpu'"),
        ("MultDAE", {"seed": -1}, "seed"),
        ("MultDAE", {"batch_size": 0}, "batch_size"),
        ("MultDAE", {"epochs": True}, "epochs"),
        ("MultDAE", {"patience": 0}, "patience"),
        ("MultDAE", {"slim_every": -1}, "slim_every"),
        ("MultDAE", {"slim_every": 1, "slim_min_count": 1e9}, "min_count"),
    ],
)
def test_refused_hyperparameters(cls, options, error):
    with pytest.raises((ValueError, TypeError), match=error):
        small(cls, **options).fit(X)


def test_refused_arguments(name):
    model = small(name)
    with pytest.raises(TypeError, match=r"validation: expected a pair \(fold_in, held_out\)"):
        model.fit(X, validation=X)
    with pytest.raises(ValueError, match="k:"):
        model.fit(X, k=0)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        model.fit(X, checkpoint="/nowhere/at/all")
    model.fit(X)
    with pytest.raises(ValueError, match="expected 25 columns"):
        model.score(X[:, :20])
    with pytest.raises(NotFittedError, match="positions only"):
        model.recommend(users=[1])


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="this torch sees no GPU"):
        small("MultDAE", device="cuda").fit(X)
    model = small("MultDAE").fit(X)
    with pytest.raises(ValueError, match="this torch sees no GPU"):
        model.to("cuda")
    assert model.to("cpu").equals(model.set_params(device="cpu"))


def test_threads_of_torch_are_as_before(name):
    before = torch.get_num_threads()
    small(name, num_threads=2).fit(X).recommend(X)
    assert torch.get_num_threads() == before


def test_memory_is_asked_for_before_anything_is_made():
    with pytest.raises(fastlae.MemoryNeededError, match=r"a network of .* numbers needs .* Narrower layers need less"):
        nn.RecVAE(hidden=600_000).fit(X)
