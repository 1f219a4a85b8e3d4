"""By default a global ranking leaves each layer a floor, in compressed and in plain models."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.prunable_kernel import prunable_kernels

SPARSITY = 0.9


def dense():
    x = inputs = keras.Input((8, 8, 1))
    for units in (32, 16):
        x = layers.Dense(units, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4)(x))


def depthwise():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(x)))
    for filters in (16, 32):
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 1)(x)))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def residual():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(8, 3, padding="same")(y)]))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


def shared():
    inputs = keras.Input((8, 8, 1))
    twice = layers.Conv2D(8, 3, padding="same", activation="relu")
    x = twice(layers.Conv2D(8, 1, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(twice(x))))


def nested():
    inputs = keras.Input((8, 8, 1))
    inside = residual()
    return keras.Model(inputs, layers.Dense(4)(inside(inputs)))


NETWORKS = [dense, depthwise, residual, shared, nested]


def prunable(model):
    """List the variables of the kernels that pruning reaches, each once."""
    kernels = [kernel for layer in all_layers(model) for kernel in prunable_kernels(layer)]
    return list({id(kernel.variable): kernel.variable for kernel in kernels}.values())


def kept_by_fit(network, pruning, compressed):
    """Return the weights that each kernel keeps, and has, if those of the first layer are tiny."""
    model = network()
    first = prunable(model)[0]
    first.assign(1e-4 * first)
    if compressed:
        model = kc.compress(model, pruning=pruning)
    model.compile(keras.optimizers.SGD(1e-6), "mse", jit_compile=False)
    schedule = kc.PolynomialDecay(SPARSITY, end_step=2, frequency=1)
    callback = kc.PruningCallback(schedule, None if compressed else pruning)
    x, y = np.ones((32, 8, 8, 1), "float32"), np.ones((32, 4), "float32")
    model.fit(x, y, batch_size=8, callbacks=[callback], verbose=0)
    plain = kc.strip(model) if compressed else model
    kernels = [ops.convert_to_numpy(variable) for variable in prunable(plain)]
    return [(np.count_nonzero(kernel), kernel.size) for kernel in kernels]


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
@pytest.mark.parametrize("network", NETWORKS)
def test_each_layer_keeps_half_of_what_the_model_keeps(network, compressed):
    kept = kept_by_fit(network, kc.Pruning(scope="global"), compressed)
    assert all(left >= int(0.5 * (1 - SPARSITY) * size) for left, size in kept), kept
    left, size = np.sum(kept, axis=0)
    assert 1 - left / size == pytest.approx(SPARSITY, abs=1 / size)


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
def test_without_a_floor_a_layer_of_small_weights_is_lost(compressed):
    kept = kept_by_fit(dense, kc.Pruning(scope="global", floor=0), compressed)
    assert kept[0][0] == 1
