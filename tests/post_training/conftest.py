"""A small network with every kind of convolution, whose channels differ in mean and range."""

import keras
import numpy as np
import pytest
from keras import layers


def _norm(x, relu=None):
    x = layers.BatchNormalization()(x)
    return x if relu is None else relu(x)


@pytest.fixture(scope="package")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, use_bias=False, padding="same", name="conv")(inputs)
    x = _norm(x, layers.ReLU())
    x = layers.DepthwiseConv2D(3, use_bias=False, padding="same", name="depthwise")(x)
    x = _norm(x, layers.ReLU())
    y = layers.Conv2D(8, 1, activation="relu", name="pointwise")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="transposed")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(5, name="head")(x))
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            positive = random.uniform(0.5, 2, (2, 8))
            layer.set_weights([positive[0], *random.normal(size=(2, 8)) * 0.3, positive[1]])
    return model


@pytest.fixture(scope="package")
def samples():
    return np.random.default_rng(1).uniform(size=(128, 8, 8, 3)).astype("float32")
