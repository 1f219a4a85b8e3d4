"""AdaRound against the best of all roundings, found by exhaustive search."""

import itertools

import keras
import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.post_training.rounding.adaround import AdaRound
from keras_compress.post_training.rounding.base import RoundingProblem


def _problem(weights, inputs, scale=0.5, limit=7):
    layer = keras.layers.Dense(weights.shape[1], use_bias=False)
    layer.build(inputs.shape)
    return RoundingProblem(
        weights=weights,
        scale=np.full((1, weights.shape[1]), scale, "float32"),
        limit=limit,
        inputs=inputs,
        targets=inputs @ weights,
        call=lambda kernel, shift, x: keras.ops.matmul(x, kernel) + shift,
        layer=layer,
        matrix=None,
    )


@pytest.fixture
def correlated():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(256, 8)) @ random.normal(size=(8, 8)) + 1.0
    return random.uniform(-1, 1, (8, 1)).astype("float32"), inputs.astype("float32")


def test_comes_near_the_best_of_all_roundings(correlated):
    problem = _problem(*correlated)
    floor = np.floor(problem.weights / problem.scale)
    every = [
        problem.error(floor + np.reshape(up, (8, 1)))
        for up in itertools.product((0.0, 1.0), repeat=8)
    ]
    actual = problem.error(AdaRound(steps=800).integers(problem))
    assert np.mean(np.array(every) < actual) <= 0.05
    assert np.mean(np.array(every) < problem.error(problem.nearest)) > 0.05


def test_integers_are_the_neighbours_and_inside_the_grid(correlated):
    problem = _problem(*correlated, scale=0.2, limit=3)
    actual = AdaRound(steps=60).integers(problem)
    assert np.abs(actual).max() <= 3
    ratio = np.clip(problem.weights / problem.scale, -3, 3)
    assert np.abs(actual - ratio).max() <= 1 + 1e-5


def test_is_never_worse_than_nearest(correlated):
    problem = _problem(*correlated)
    hasty = AdaRound(steps=1, learning_rate=10.0)
    assert problem.error(hasty.integers(problem)) <= problem.error(problem.nearest)


def test_weights_on_the_grid_stay(correlated):
    weights = np.round(correlated[0] / 0.5) * 0.5
    problem = _problem(weights, correlated[1])
    np.testing.assert_array_equal(AdaRound(steps=5).integers(problem), weights / 0.5)


def test_refuses_settings_that_mean_nothing():
    for settings in ({"steps": 0}, {"learning_rate": -1}, {"free": 1.0}, {"penalty": 0}):
        with pytest.raises(InvalidArgumentError, match=next(iter(settings))):
            AdaRound(**settings)
