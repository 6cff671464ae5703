"""Estimates of time: sane and growing, whatever the machine."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import fastlae
from fastlae import _cost


def test_time_grows_with_the_problem():
    for dtype in ("float32", "float64"):
        times = [_cost.seconds_inverse(n, dtype) for n in (100, 1000, 10_000, 100_000)]
        assert 0 < times[0] < times[1] < times[2] < times[3] < 1e9
        assert times[3] > 500 * times[2]  # towards the cube
    assert 0 < _cost.seconds_gram(1e6, 1000) < _cost.seconds_gram(1e9, 1000) < _cost.seconds_gram(1e9, 50_000)
    assert 0 < _cost.seconds_recommend(1000, 10, 1000) < _cost.seconds_recommend(100_000, 1000, 1000)


def test_additions_of_a_gram_matrix():
    assert _cost.gram_additions(np.array([0, 1, 1, 4])) == 1 + 6


@pytest.mark.parametrize("seconds", [0.01, 12, 200, 9000, 1e6])
def test_time_in_words(seconds):
    assert _cost.duration(seconds).split()[-1] in ("ms", "s", "min", "h", "days")


def test_a_fit_on_disk_says_how_long_it_will_take(caplog):
    X = fastlae.data.make_interactions(n_users=60, n_items=30, n_interactions=300, seed=0)
    with caplog.at_level(logging.WARNING, "fastlae"):
        fastlae.EASE(storage="disk").fit(X)
    assert "inverting a matrix of order 30: about" in caplog.text
    assert "is read and written" in caplog.text
