"""One network trained on real digits, and copies of it with planted faults."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def images():
    """All 1,797 digits in 0 .. 1; the first 1,200 are trained on."""
    images, _ = load_digits(return_X_y=True)
    return (images.reshape(-1, 8, 8, 1) / 16).astype("float32")


@pytest.fixture(scope="session")
def network(images):
    layers = keras.layers
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(12, 3, use_bias=False, name="stem")(inputs)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.ReLU(name="depthwise_relu")(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.Conv2D(24, 1, activation="relu", name="pointwise")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="probs")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    _, labels = load_digits(return_X_y=True)
    model.fit(images[:1200], labels[:1200], epochs=6, batch_size=64, verbose=0)
    return model


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
