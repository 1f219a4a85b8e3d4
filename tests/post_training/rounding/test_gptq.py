"""GPTQ against its definition: the greedy optimum, re-fitting the remaining weights exactly."""

import keras
import numpy as np
import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.layers import base as layer_types
from keras_compress.post_training.rounding.gptq import Gptq, input_power, round_greedily


def _refit(weights, scale, limit, power):
    """Optimal Brain Surgeon, naively: solve the least squares again after each rounding."""
    size = len(weights)
    order = np.argsort(-np.diag(power), kind="stable")
    integers, values = np.zeros(size), weights.copy()
    for step, now in enumerate(order):
        integers[now] = np.clip(np.round(values[now] / scale), -limit, limit)
        done, rest = order[: step + 1], order[step + 1 :]
        error = weights[done] - integers[done] * scale
        values[rest] = weights[rest] + np.linalg.solve(
            power[np.ix_(rest, rest)], power[np.ix_(rest, done)] @ error
        )
    return integers


def test_is_the_greedy_optimum():
    random = np.random.default_rng(0)
    weights = random.normal(size=(1, 5, 12))
    columns = random.normal(size=(12, 40)) + 1.0
    power = columns @ columns.T
    scale = np.full_like(weights, 0.4)
    actual = round_greedily(weights, scale, 7, power[None], 1e-9)
    for row, integers in zip(weights[0], actual[0], strict=True):
        np.testing.assert_array_equal(integers, _refit(row, 0.4, 7, power))


LAYERS = [
    keras.layers.Conv2D(6, 3, strides=2, padding="same"),
    keras.layers.Conv2D(6, (3, 2), dilation_rate=2, padding="valid"),
    keras.layers.Conv2D(6, 3, groups=2),
    keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same"),
    keras.layers.Dense(5),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_columns_times_matrix_is_the_layer(layer):
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 9, 9, 4)).astype("float32")
    layer.build(x.shape)
    form = layer_types.find(layer).matrix_form(layer)
    groups, outputs, inputs = form.sizes
    columns = np.asarray(form.probe(layer, x.shape)(x)).reshape(-1, groups, inputs)
    matrix = form.to_matrix(np.asarray(layer.kernel))
    product = np.einsum("gok,pgk->pgo", matrix, columns).reshape(-1, groups * outputs)
    bias = np.asarray(layer.bias)
    expected = np.asarray(layer(x)).reshape(-1, groups * outputs)
    np.testing.assert_allclose(product + bias, expected, atol=1e-5)
    np.testing.assert_array_equal(form.from_matrix(matrix, layer.kernel.shape), layer.kernel)
    covariance = np.stack([np.cov(columns[:, g].T, bias=True) for g in range(groups)])
    np.testing.assert_allclose(input_power(form, layer, x, centred=True), covariance, atol=1e-4)


def test_conv1d_has_columns_too():
    layer = keras.layers.Conv1D(4, 3)
    x = np.random.default_rng(0).normal(size=(3, 9, 2)).astype("float32")
    layer.build(x.shape)
    form = layer_types.find(layer).matrix_form(layer)
    columns = np.asarray(form.probe(layer, x.shape)(x))
    product = columns @ form.to_matrix(np.asarray(layer.kernel))[0].T
    np.testing.assert_allclose(product + np.asarray(layer.bias), layer(x), atol=1e-5)


def test_inputs_that_never_come_do_not_matter():
    power = np.zeros((1, 3, 3))
    weights = np.array([[[0.3, 0.0, -0.9]]])
    actual = round_greedily(weights, np.ones_like(weights), 7, power, 0.01)
    np.testing.assert_array_equal(actual, [[[0, 0, -1]]])


def test_refuses_no_damping():
    with pytest.raises(InvalidArgumentError, match="damping"):
        Gptq(damping=0)
