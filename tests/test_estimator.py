"""What people expect of an estimator: parameters, clones, printing, copies, pickles, and equality."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import fastlae
from fastlae.models import LinearAutoencoder, Recommender

NAMES = dict(vars(fastlae))
try:
    import fastlae.nn

    NAMES |= vars(fastlae.nn)
except ImportError:  # without torch
    pass

X = fastlae.data.make_interactions(n_users=40, n_items=25, n_interactions=300, seed=1)
SHOWN = fastlae.Interactions.from_matrix(X, item_ids=[f"item {i}" for i in range(25)])
CLASSES = [
    cls
    for cls in Recommender.registry.values()
    if cls.__module__.startswith("fastlae.")
    and not (inspect.isabstract(cls) or cls.sequential)  # those that go by time take no matrix
    and cls is not LinearAutoencoder
]


# Ranks and weights that fit 25 items: what these models take by default is for catalogues, or must be given.
NEEDED = {"k": 4, "dim": 4, "hidden": 4, "latent": 4, "epochs": 2}
SPECIAL = {"LRR": {"l2": 10.0}, "VLAE": {"c": 1.0}, "WLAE": {"k": None, "weights": [1.0, 2.0, 3.0, 4.0]}}


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def model(request):
    return request.param()


def small(model):
    """The model with hyperparameters that fit the data here."""
    params = {name: value for name, value in NEEDED.items() if name in model.get_params()}
    special = {k: v for k, v in SPECIAL.get(type(model).__name__, {}).items() if k in model.get_params()}
    return model.set_params(**params | special)


def test_parameters_are_stored_as_they_are_given(model):
    cls = type(model)
    for name, parameter in inspect.signature(cls).parameters.items():
        assert parameter.kind == parameter.KEYWORD_ONLY
        assert getattr(model, name) is parameter.default
    params = model.get_params()
    assert cls(**params).get_params() == params
    assert model.get_params(deep=False) == params
    assert model.set_params(num_threads=1) is model
    assert model.get_params()["num_threads"] == 1
    with pytest.raises(ValueError, match=f"{cls.__name__} has no hyperparameter 'num_thread'; did you mean"):
        model.set_params(num_thread=1)


def test_repr_makes_the_model(model):
    model.set_params(num_threads=1)
    again = eval(repr(model), dict(NAMES))
    assert again.equals(model)
    assert repr(again) == repr(model)
    assert repr(type(model)()) == f"{type(model).__name__}()"


def test_parameters_take_effect_at_the_next_fit(model):
    scores = small(model).fit(X).score(X)
    for name, value in model.get_params().items():
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "num_threads":
            model.set_params(**{name: value + 1})
    np.testing.assert_array_equal(model.score(X), scores)


@pytest.mark.parametrize("fitted", [False, "matrix", "ids"])
def test_copies_and_pickles(model, fitted):
    if fitted:
        small(model).fit(X if fitted == "matrix" else SHOWN)
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is type(model)
        assert other.equals(model)
        assert other.get_params() == model.get_params()
        if fitted:
            np.testing.assert_array_equal(other.recommend(X, k=3)[0], model.recommend(X, k=3)[0])
        else:
            with pytest.raises(fastlae.NotFittedError):
                other.recommend(X)


def test_fit_again(model):
    small(model).fit(SHOWN)
    before = copy.deepcopy(model)
    assert model.fit(SHOWN).equals(before)


def test_a_loaded_model_is_equal(model, tmp_path):
    small(model).fit(SHOWN)
    model.save(tmp_path / "model.safetensors")
    loaded = fastlae.load(tmp_path / "model.safetensors")
    assert loaded.equals(model)
    for name, value in model.get_params().items():
        assert np.array_equal(loaded.get_params()[name], value)
    assert not loaded.equals(small(type(model)()).fit(X))


def test_scikit_learn_clones_it(model):
    base = pytest.importorskip("sklearn.base")
    small(model).fit(X)
    for one in (base.clone(model), base.clone(type(model)(num_threads=2))):
        assert type(one) is type(model)
        with pytest.raises(fastlae.NotFittedError):
            one.recommend(X)
    assert base.clone(type(model)(num_threads=2)).num_threads == 2


def test_an_interrupted_fit_leaves_the_model_as_it_was(model, monkeypatch):
    small(model).fit(SHOWN)
    before = copy.deepcopy(model)
    other = sp.csr_matrix(X[:, :20])

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    if fastlae.tune.can_sweep(type(model)):
        monkeypatch.setattr("fastlae.models.inverse.invert_in_place", interrupt)
    else:
        monkeypatch.setattr(type(model), "_fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(other)
    assert model.equals(before)
    assert model.interactions_.equals(SHOWN)
