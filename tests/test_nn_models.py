"""Neural recommenders as models: what they learn and keep, files, and odd input."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.errors import ModelFileError, NotFittedError
from neural_cases import SHOWN, SMALL, X, equal, parameters, small

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


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


@pytest.mark.parametrize("options", [{}, {"dense_encoder": False}, {"alternating": False}])
def test_recvae_has_the_same_bits_for_any_number_of_threads(options):
    """Shapes of which every kernel makes several tasks."""
    many = fastlae.data.make_interactions(n_users=300, n_items=3000, n_interactions=15_000, seed=0)
    sizes = {"hidden": 200, "latent": 50, "batch_size": 300, "epochs": 1, **options}
    one, two = (parameters(nn.RecVAE(num_threads=threads, **sizes).fit(many)) for threads in (1, 2))
    assert equal(one, two)


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
