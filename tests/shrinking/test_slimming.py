"""slimming.py: channels with the smallest scales are removed."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    parts = [layers.Dense(16), layers.BatchNormalization(name="norm"), layers.ReLU()]
    return keras.Sequential([keras.Input((6,)), *parts, layers.Dense(1)])


def test_smallest_scales_go(model):
    gamma = np.linspace(1, 16, 16)
    gamma[[3, 7, 11, 15]] = 1e-3
    model.get_layer("norm").gamma.assign(gamma)
    smaller = kc.slim_prune(model, 0.25)
    np.testing.assert_array_equal(smaller.get_layer("norm").gamma, gamma[gamma > 1e-2])


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_rates_that_leave_nothing_are_refused(model, rate):
    with pytest.raises(InvalidArgumentError, match="pruning_rate"):
        kc.slim_prune(model, rate)
