"""After correction each channel has the mean of the float model, before any activation."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from keras_compress.post_training.layerwise_outputs import collect, walk


def _calibrated(network, samples, bits=3):
    model = kc.compress(network, quantization=kc.Quantization(weight_bits=bits))
    return kc.calibrate(model, samples, method="min_max", batch_size=128)


def _channel_means(model, samples):
    """Mean of each output channel of each wrapped layer, before its activation."""
    means = {}

    def visit(site):
        outputs = np.concatenate(site.quantized_outputs())
        means[site.wrapper.name] = outputs.reshape(-1, outputs.shape[-1]).mean(axis=0)

    walk(model, collect(model, samples, len(samples), 64), visit)
    return means


@pytest.fixture(scope="module")
def corrected(network, samples):
    return kc.correct_biases(_calibrated(network, samples), samples)


@pytest.fixture(scope="module")
def channel_means(corrected, samples):
    return _channel_means(corrected, samples)


@pytest.mark.parametrize("layer", ["depthwise", "pointwise", "transposed", "hidden", "head"])
def test_means_of_channels_are_those_of_the_float_model(network, samples, channel_means, layer):
    before = network.get_layer(layer)
    tensor = before.output
    if layer == "depthwise":
        tensor = next(other for other in network.layers[1:] if other.input is tensor).output
    outputs = np.asarray(keras.Model(network.input, tensor)(samples))
    if layer in ("pointwise", "hidden"):
        inputs = np.asarray(keras.Model(network.input, before.input)(samples))
        kernel, bias = before.get_weights()
        outputs = inputs.reshape(-1, inputs.shape[-1]) @ kernel.reshape(-1, len(bias)) + bias
    expected = outputs.reshape(-1, outputs.shape[-1]).mean(axis=0)
    np.testing.assert_allclose(channel_means[layer], expected, atol=2e-3 * np.abs(expected).max())


def test_outputs_come_nearer(network, samples, corrected):
    expected = np.asarray(network(samples))
    before = np.mean((np.asarray(_calibrated(network, samples)(samples)) - expected) ** 2)
    assert np.mean((np.asarray(corrected(samples)) - expected) ** 2) < 0.5 * before


def test_layers_without_a_bias_stay(samples):
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 3, use_bias=False, name="conv")(inputs))
    model = _calibrated(network, samples)
    before = np.asarray(model(samples))
    kc.correct_biases(model, samples)
    np.testing.assert_array_equal(model(samples), before)


@pytest.mark.parametrize("scale", [True, False])
def test_a_normalization_without_offset_takes_the_correction(samples, scale):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(center=False, scale=scale)(x)
    network = keras.Model(inputs, x)
    model = kc.correct_biases(_calibrated(network, samples), samples)
    means = [np.asarray(one(samples)).mean(axis=(0, 1, 2)) for one in (model, network)]
    np.testing.assert_allclose(*means, atol=5e-3)


def test_refuses_a_plain_model(network, samples):
    with pytest.raises(
        InvalidArgumentError, match="correct_biases needs a compressed and calibrated model"
    ):
        kc.correct_biases(network, samples)
