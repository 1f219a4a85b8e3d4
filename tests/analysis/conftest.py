"""One network trained on real digits, and copies of it with planted faults."""

import keras
import numpy as np
import pytest

from tests.fixtures.trained import networks


@pytest.fixture(scope="session")
def images():
    """All 1,797 digits in 0 .. 1; the first 1,200 are trained on."""
    return networks.digit_images()[0]


@pytest.fixture(scope="session")
def network():
    return networks.load("digits_to_analyze")


@pytest.fixture(scope="session")
def with_an_outlier(network, images):
    """The same function: one channel of `pointwise` is 100 times as large, and undone behind it."""
    model = keras.models.clone_model(network)
    model.set_weights(network.get_weights())
    kernel, bias = model.get_layer("pointwise").get_weights()
    means = np.asarray(keras.Model(model.input, model.get_layer("average").output)(images[:64]))
    channel = int(np.argsort(means.max(axis=0))[12])
    kernel[..., channel] *= 100
    bias[channel] *= 100
    model.get_layer("pointwise").set_weights([kernel, bias])
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[channel] /= 100
    model.get_layer("hidden").set_weights([kernel, bias])
    return model, channel
