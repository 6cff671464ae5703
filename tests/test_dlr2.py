"""DLR2: its parts against NumPy, what it learns, and how it is used."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastlae
from fastlae.errors import DataError, ModelFileError

torch = pytest.importorskip("torch")
nn = pytest.importorskip("fastlae.nn")
from fastlae.nn.dlr2_network import (  # noqa: E402
    CONVS,
    VARIANTS,
    DLR2Network,
    _Conv1d,
    discriminative_loss,
    generative_loss,
)
from fastlae.nn.histories import histories, negatives, training_places  # noqa: E402

SMALL = {"dim": 8, "neighbors": 10, "epochs": 2, "batch_size": 64, "num_threads": 1}


def chains(n_users=60, n_items=24, length=18, seed=0):
    """Everybody goes from an item to the next one in a ring, from a place of their own."""
    rng = np.random.default_rng(seed)
    begin = rng.integers(0, n_items, n_users)
    items = (begin[:, None] + np.arange(length)) % n_items
    users = np.repeat(np.arange(n_users), length).reshape(items.shape)
    times = np.broadcast_to(np.arange(length), items.shape)
    ids = np.array([f"item {i:02}" for i in range(n_items)])
    return fastlae.Interactions(users.ravel() + 100, ids[items.ravel()], timestamps=times.ravel())


@pytest.fixture(scope="module")
def X():
    return chains()


@pytest.fixture(scope="module")
def model(X):
    return nn.DLR2(**SMALL).fit(X)


# The network.


@pytest.mark.parametrize(("width", "stride"), [(3, 1), (3, 2), (1, 1), (1, 2)])
@pytest.mark.parametrize("positions", [5, 6])
def test_the_convolution_is_that_of_torch(width, stride, positions):
    theirs = torch.nn.Conv1d(4, 7, width, stride=stride, padding=width // 2)
    ours = _Conv1d(4, 7, width, stride=stride, padding=width // 2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 4, positions)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("conv", CONVS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("dim", "length"), [(8, 5), (7, 2)])
def test_shapes_and_gradients(conv, variant, dim, length):
    net = DLR2Network(4, 9, dim=dim, length=length, conv=conv, variant=variant)
    users, items = torch.tensor([0, 1, 4]), torch.randint(0, 10, (3, length))
    s = net.states(users, items)
    assert s.shape == (3, dim)
    (net.distances(s, net.items(torch.tensor([1, 2, 3]))).sum() + net.generator(s).sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert not net.items.weight.grad[0].any()
    assert not net.users.weight.grad[0].any()


def test_the_blocks_are_those_of_the_paper():
    net = DLR2Network(4, 9, dim=64, length=5, conv="2d", variant="resnet").eval()
    lift, one, two, _ = net.features.body
    x = torch.randn(2, 1, 6, 64)
    a = lift(x)
    assert a.shape == (2, 64, 6, 64)
    torch.testing.assert_close(one(a), a + one.body[2](torch.relu(one.body[0](a))))
    b = two(one(a))
    assert b.shape == (2, 128, 3, 32)
    torch.testing.assert_close(b, two.body(one(a)) + two.skip[1](two.skip[0](one(a))))
    assert net.features.last.weight.shape == (64, 128 * 3 * 32)
    norms = [module for module in net.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == 1

    def sizes(chain):
        return [layer.weight.shape[::-1] for layer in chain if isinstance(layer, torch.nn.Linear)]

    assert sizes(net.generator) == [(64, 256), (256, 256), (256, 128), (128, 64)]
    assert sizes(net.distance) == [(128, 256), (256, 256), (256, 128), (128, 1)]


def test_reversible_blocks_can_be_undone():
    net = DLR2Network(4, 9, dim=8, length=5, conv="1d", variant="revnet")
    block = net.features.body[1]
    x = torch.randn(2, 64, 6)
    y1, y2 = block(x).chunk(2, dim=1)
    x2 = y2 - block.second(y1)
    torch.testing.assert_close(torch.cat([y1 - block.first(x2), x2], dim=1), x)


def test_all_distances_are_those_of_the_pairs():
    net = DLR2Network(4, 9, dim=8, length=5, conv="1d", variant="resnet")
    with torch.no_grad():
        s, e = torch.randn(3, 8), torch.randn(9, 8)
        every = net.all_distances(s, e)
        pairs = net.distances(s.repeat_interleave(9, 0), e.repeat(3, 1)).reshape(3, 9)
    torch.testing.assert_close(every.clamp_min(0), pairs)


def test_a_distance_below_zero_still_learns():
    net = DLR2Network(4, 9, dim=8, length=5, conv="1d", variant="resnet")
    with torch.no_grad():
        net.distance[-2].bias.fill_(-100.0)
    far = net.distances(torch.randn(3, 8), torch.randn(3, 8))
    assert not far.any()
    discriminative_loss(torch.zeros(3), far, 0.5).backward()
    assert net.distance[-2].bias.grad < 0  # up


@pytest.mark.parametrize("squared", [True, False])
def test_losses(squared):
    rng = np.random.default_rng(0)
    near, far = rng.random(5), rng.random(5)
    made, positive, negative = rng.standard_normal((3, 5, 4))
    want = np.mean(near**2 + np.maximum(0.5 - far, 0) ** 2)
    got = discriminative_loss(torch.tensor(near), torch.tensor(far), 0.5)
    assert float(got) == pytest.approx(want)

    def apart(e):
        return ((made - e) ** 2).mean(axis=1) if squared else np.linalg.norm(made - e, axis=1)

    want = np.maximum(apart(positive) - apart(negative) + 0.3, 0).mean()
    got = generative_loss(torch.tensor(made), torch.tensor(positive), torch.tensor(negative), 0.3, squared)
    assert float(got) == pytest.approx(want)


def test_a_margin_of_zero_is_degenerate():
    """With m = 0, as printed, S = 0 everywhere has no loss and no gradient."""
    zero = torch.zeros(4, requires_grad=True)
    loss = discriminative_loss(zero, zero, 0.0)
    loss.backward()
    assert loss == 0
    assert not zero.grad.any()


# Histories.


def test_histories_go_by_time():
    X = fastlae.Interactions([1, 1, 1, 2, 2], [10, 20, 30, 20, 10], timestamps=[3, 1, 2, 5, 5])
    found = histories(X, np.arange(2), "it")
    assert found.items.tolist() == [1, 2, 0, 0, 1]  # of one time: by position
    assert found.last(2).tolist() == [[2, 0], [0, 1]]
    assert found.last(4).tolist() == [[-1, 1, 2, 0], [-1, -1, 0, 1]]  # padded on the left
    places, rows = training_places(found, 5)
    assert (places.tolist(), rows.tolist()) == ([2, 4], [0, 1])
    assert found.before(places, rows, 3).tolist() == [[-1, 1, 2], [-1, -1, 0]]
    places, rows = training_places(found, 1)
    assert (places.tolist(), rows.tolist()) == ([1, 2, 4], [0, 0, 1])


def test_negatives_are_uniform_over_what_a_user_lacks():
    rng = np.random.default_rng(0)
    dense = rng.random((20, 9)) < 0.5
    dense[:, 0] = False
    csr = fastlae.Interactions.from_matrix(dense.astype(np.float32))._csr
    rows = np.repeat(np.arange(20), 4000)
    found = negatives(csr, rows, rng)
    assert not dense[rows, found].any()
    for user in range(20):
        counts = np.bincount(found[rows == user], minlength=9)
        lacks = ~dense[user]
        assert not counts[~lacks].any()
        assert abs(counts[lacks] / (4000 / lacks.sum()) - 1).max() < 0.25


# Training.


def test_it_learns_what_comes_next():
    """In a ring the next item follows from the last ones; nothing else tells it from the others."""
    X = chains(n_users=120, n_items=30)
    parts = X.split("leave_last_out", seed=0)
    model = nn.DLR2(dim=8, neighbors=6, epochs=5, patience=None, batch_size=32, learning_rate=5e-3, num_threads=1)
    model.fit(parts.train, validation=(parts.validation_fold_in, parts.validation))
    found = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=1, metrics="hit_rate")
    popular = fastlae.Popularity().fit(parts.train)
    base = fastlae.evaluation.evaluate(popular, parts.test_fold_in, parts.test, k=1, metrics="hit_rate")
    assert found["hit_rate@1"] > 0.8 > 3 * base["hit_rate@1"]
    assert model.history_[-1]["loss"] < 0.5 * model.history_[0]["loss"]
    model.rank_by = "generative"
    found = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=1, metrics="hit_rate")
    assert found["hit_rate@1"] > 2 * base["hit_rate@1"]


@pytest.mark.parametrize(
    "options",
    [
        {"init": "random"},
        {"init": "svd"},
        {"init": "le"},
        {"init": np.random.default_rng(0).standard_normal((84, 8))},
        {"conv": "2d", "epochs": 1},
        {"variant": "revnet"},
        {"variant": "no_conv"},
        {"variant": "no_residual"},
        {"loss": "generative"},
        {"loss": "discriminative"},
        {"generative_distance": "norm", "rank_by": "generative"},
        {"length": 1},
        {"length": 30},
        {"positions": 100},
        {"discriminative_margin": 0.0, "generative_margin": 0.0},
        {"weight_decay": 0.01, "warmup": 0},
    ],
)
def test_options(X, options, tmp_path):
    model = nn.DLR2(**{**SMALL, **options}).fit(X)
    scores = model.score(users=X.user_ids[:4])
    assert scores.shape == (4, 24)
    assert np.isfinite(scores).all()
    model.save(tmp_path / "model.safetensors")
    loaded = fastlae.load(tmp_path / "model.safetensors")
    assert loaded.equals(model)
    np.testing.assert_array_equal(loaded.score(users=X.user_ids[:4]), scores)


def test_embeddings_are_trained_or_frozen(X):
    start = np.random.default_rng(0).standard_normal((84, 8)).astype(np.float32)
    for train in (True, False):
        model = nn.DLR2(init=start, train_embeddings=train, **SMALL).fit(X)
        now = np.vstack([w.weight.detach().numpy()[1:] for w in (model.module_.users, model.module_.items)])
        assert np.array_equal(now, start) != train
        for embedding in (model.module_.users, model.module_.items):
            assert not embedding.weight[0].any()


def test_the_start_is_that_of_the_initializers(X):
    module = nn.DLR2(**SMALL)._start(X)
    items = torch.nn.Embedding(24, 8)
    nn.init.leporid_(items.weight, X, k=10, alpha=0.5)
    assert torch.equal(module.items.weight[1:], items.weight)


def test_a_seed_repeats_and_another_differs(X, model):
    state = torch.random.get_rng_state()
    again = nn.DLR2(**SMALL).fit(X)
    assert again.equals(model)
    assert not nn.DLR2(**SMALL, seed=1).fit(X).equals(model)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_goes_on_from_a_checkpoint_bit_by_bit(X, tmp_path):
    parts = X.split("by_time", seed=0)
    options = {**SMALL, "epochs": 4, "patience": None}
    watch = {"validation": (parts.validation_fold_in, parts.validation)}
    whole = nn.DLR2(**options).fit(parts.train, **watch)
    path = tmp_path / "checkpoint"

    class Cut(Exception):
        pass

    def cut(model):
        if len(model.history_) == 3:
            raise Cut

    with pytest.raises(Cut):
        nn.DLR2(**options).fit(parts.train, **watch, checkpoint=path, callback=cut)
    resumed = nn.DLR2(**options).fit(parts.train, **watch, checkpoint=path)
    assert resumed.equals(whole)
    for name, value in whole.module_.state_dict().items():
        assert torch.equal(resumed.module_.state_dict()[name], value), name
    with pytest.raises(ModelFileError, match="alpha"):
        nn.DLR2(**{**options, "alpha": 0.1}).fit(parts.train, **watch, checkpoint=path)
    with pytest.raises(ModelFileError, match="interactions"):
        nn.DLR2(**options).fit(chains(seed=5).split("by_time").train, **watch, checkpoint=path)


def test_early_stopping_keeps_the_best_epoch(X):
    parts = X.split("by_time", seed=0)
    seen = []

    def watch(model):
        found = fastlae.evaluation.evaluate(model, parts.train, parts.validation, k=10, metrics="ndcg")
        seen.append(float(found["ndcg@10"]))

    options = {**SMALL, "epochs": 30, "patience": 2}
    model = nn.DLR2(**options).fit(parts.train, validation=(parts.train, parts.validation), callback=watch)
    assert [row["ndcg@10"] for row in model.history_] == pytest.approx(seen)
    assert len(seen) < 30
    assert np.argmax(seen) == len(seen) - 3
    best = fastlae.evaluation.evaluate(model, parts.train, parts.validation, k=10, metrics="ndcg")
    assert float(best["ndcg@10"]) == pytest.approx(max(seen))


def test_a_failed_fit_leaves_the_model_as_it_was(X):
    model = nn.DLR2(**SMALL).fit(X)
    before = copy.deepcopy(model)
    with pytest.raises(DataError):
        model.fit(X.matrix)

    def fail(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(chains(seed=3), callback=fail)
    assert model.equals(before)


# Use.


def test_recommends_by_id_and_by_interactions(X, model):
    users = X.user_ids[[5, 0, 7]]
    items, scores = model.recommend(users=users, k=6)
    again = model.recommend(X.select(users), k=6)
    np.testing.assert_array_equal(items, again[0])
    np.testing.assert_array_equal(scores, again[1])
    assert (np.diff(scores, axis=1) <= 0).all()
    full = model.score(X.select(users))
    for user, row, best, values in zip(users, items, full, scores, strict=True):
        seen = X.item_ids[X.select([user])._csr.indices]
        assert not set(row) & set(seen)
        np.testing.assert_array_equal(best[X.item_positions(row)], values)
    shown = model.recommend(users=users, k=24, exclude_seen=False)[0]
    assert all(len(set(row)) == 24 for row in shown)
    only = model.recommend(users=users, k=3, items=X.item_ids[:2], exclude_seen=False)[0]
    assert set(only.ravel()) == {*X.item_ids[:2], ""}
    assert X.item_ids[0] not in model.recommend(users=users, k=24, forbid=X.item_ids[:1], exclude_seen=False)[0]


def test_blocks_change_nothing(X, model, monkeypatch):
    whole = model.score(X)
    for pairs in (5, 100):
        monkeypatch.setattr("fastlae.nn.dlr2._PAIRS", pairs)
        np.testing.assert_allclose(model.score(X), whole, atol=1e-5)


def test_a_stranger_is_known_by_the_last_items(X, model):
    """The zero vector stands for the user; items from elsewhere are passed over; short histories are padded."""
    stranger = fastlae.Interactions(["a"] * 3, ["item 03", "item 04", "unheard of"], timestamps=[1, 2, 3])
    got = model.score(stranger)
    rows = torch.tensor([[0, 0, 0, 4, 5]])
    with torch.no_grad():
        s = model.module_.states(torch.tensor([0]), rows)
        want = -model.module_.all_distances(s, model.module_.items.weight[1:]).numpy()
    np.testing.assert_allclose(got, want, atol=1e-6)
    with pytest.raises(DataError, match="none of the 10 items"):
        model.score(fastlae.Interactions(["a"] * 10, [f"unheard of {i}" for i in range(10)], timestamps=range(10)))


def test_the_order_matters(model):
    forth, back = (
        fastlae.Interactions(["a"] * 3, ["item 03", "item 04", "item 05"], timestamps=times)
        for times in ([1, 2, 3], [3, 2, 1])
    )
    assert not np.allclose(model.score(forth), model.score(back))


def test_evaluation_shows_it_the_times(X):
    parts = X.split("by_time", seed=0)
    model = nn.DLR2(**SMALL).fit(parts.train)
    for options in ({}, {"batch_size": 7}):
        found = fastlae.evaluation.evaluate(model, parts.test_fold_in, parts.test, k=(1, 5), metrics="f1", **options)
        top = model.recommend(parts.test_fold_in, k=5)[0]
        want = fastlae.evaluation.f1(parts.train._items.find(top.ravel()).reshape(top.shape), parts.test.matrix, 5)
        assert float(found["f1@5"]) == pytest.approx(float(want))
    with pytest.raises(DataError, match="timestamps"):
        fastlae.evaluation.evaluate(model, parts.test_fold_in.matrix, parts.test.matrix, k=5)


def test_copies_and_files(X, model, tmp_path):
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.equals(model)
    path = tmp_path / "model.safetensors"
    model.save(path, with_users=False)
    bare = fastlae.load(path)
    with pytest.raises(DataError, match="saved without its users"):
        bare.recommend(users=X.user_ids[:1])
    rows = X.select(X.user_ids[:3])
    strangers = fastlae.Interactions._from_parts(rows._csr, rows.timestamps, np.array(["x", "y", "z"]), rows.item_ids)
    np.testing.assert_array_equal(bare.score(rows), bare.score(strangers))
    assert len(bare.module_.users.weight) == 1
    assert model.recommend(users=X.user_ids[:1])[0].shape == (1, 10)  # is as it was


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"dim": 1}, ValueError, "dim: "),
        ({"dim": 8.0}, TypeError, "dim: "),
        ({"length": 0}, ValueError, "length: "),
        ({"init": "lepord"}, ValueError, "init: "),
        ({"init": np.zeros((83, 8))}, ValueError, r"init: expected an array of shape \(84, 8\)"),
        ({"init": np.full((84, 8), np.nan)}, ValueError, "init: expected finite"),
        ({"conv": "3d"}, ValueError, "conv: "),
        ({"variant": "vgg"}, ValueError, "variant: "),
        ({"loss": "none"}, ValueError, "loss: "),
        ({"rank_by": "g"}, ValueError, "rank_by: "),
        ({"loss": "generative", "rank_by": "discriminative"}, ValueError, "is not trained"),
        ({"generative_distance": "l1"}, ValueError, "generative_distance: "),
        ({"generative_margin": -1}, ValueError, "generative_margin: "),
        ({"learning_rate": 0}, ValueError, "learning_rate: "),
        ({"warmup": -1}, ValueError, "warmup: "),
        ({"seed": -1}, ValueError, "seed: "),
        ({"positions": 0}, ValueError, "positions: "),
        ({"patience": 0}, ValueError, "patience: "),
        ({"device": "abacus"}, ValueError, "device: "),
    ],
)
def test_what_it_refuses(X, options, error, text):
    with pytest.raises(error, match=text):
        nn.DLR2(**{**SMALL, **options}).fit(X)


def test_data_without_an_order(X, model):
    for fit in (nn.DLR2(**SMALL).fit, model.score, model.recommend):
        with pytest.raises(DataError, match=r"expected a fastlae\.Interactions with timestamps, got csr_matrix"):
            fit(X.matrix)
        with pytest.raises(DataError, match="no timestamps"):
            fit(X._without_timestamps())
    with pytest.raises(DataError, match="no user has two items"):
        nn.DLR2(**SMALL).fit(fastlae.Interactions([1, 2], [1, 2], timestamps=[1, 2]))
    with pytest.raises(fastlae.UnknownIdError, match="7"):
        model.recommend(users=[7])
    with pytest.raises(fastlae.NotFittedError):
        nn.DLR2().recommend(X)
    with pytest.raises(TypeError, match="validation"):
        nn.DLR2(**SMALL).fit(X, validation=X)
