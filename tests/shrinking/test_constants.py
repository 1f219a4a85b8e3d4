"""constants.py: how the constants of removed channels are kept."""

import keras
import numpy as np
from keras import layers

import keras_compress as kc


def network(padding):
    """A network whose first four of eight channels are constant, before a 3 x 3 convolution."""
    keras.utils.set_random_seed(0)
    first = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")
    second = layers.Conv2D(6, 3, padding=padding, name="second")
    model = keras.Sequential([keras.Input((10, 10, 3)), first, second])
    kernel = np.asarray(first.kernel).copy()
    kernel[..., :4] = 0
    first.kernel.assign(kernel)
    first.bias.assign([0.5, -1.0, 0.25, 2.0, 0, 0, 0, 0])
    return model


def sample():
    return np.random.default_rng(0).normal(size=(2, 10, 10, 3)).astype("float32")


def test_without_padding_all_constants_go_into_the_bias():
    model = network("valid")
    smaller = kc.remove_zeros(model)
    assert smaller.get_layer("first").filters == 4
    np.testing.assert_allclose(smaller(sample()), model(sample()), rtol=1e-5, atol=1e-5)


def test_where_zeros_pad_a_constant_channel_stays_and_the_outputs_with_it():
    model = network("same")
    smaller = kc.remove_zeros(model)
    assert smaller.get_layer("first").filters < 8
    np.testing.assert_allclose(smaller(sample()), model(sample()), rtol=1e-5, atol=1e-5)


def test_a_constant_channel_that_must_go_is_folded_away_from_the_border():
    model = network("same")
    smaller = kc.shrink(model, channels=0.5)
    assert smaller.get_layer("first").filters == 4
    inner = np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(
        np.asarray(smaller(sample()))[inner],
        np.asarray(model(sample()))[inner],
        rtol=1e-5,
        atol=1e-5,
    )
