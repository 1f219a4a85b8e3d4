"""The file's biases are the integers that Keras has rounded, to the last one."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.converters import deployment
from keras_compress.tflite import flatbuffer

CHANNELS = 1500


@pytest.fixture(scope="module")
def compressed():
    """A convolution whose folded biases lie some 100,000 steps from zero."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inputs = keras.Input((2, 2, 3), name="image")
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(layers.Conv2D(CHANNELS, 1, name="conv")(inputs)))
    scales = rng.uniform(0.01, 1, CHANNELS)
    norm.set_weights([scales, *(0.3 * rng.normal(size=(2, CHANNELS))), scales])
    x = rng.normal(size=(32, 2, 2, 3)).astype("float32")
    return kc.calibrate(kc.compress(model, quantization="generic_int8"), x)


def _integers(converted):
    (operator,) = (op for op in flatbuffer.read(converted).operators if op.name == "CONV_2D")
    return operator.inputs[2].data.astype(np.int64)


def _in_keras(model):
    wrapper = model.get_layer("conv")
    step = model.get_layer("image_range").step
    bias = np.asarray(wrapper.folded_bias() + wrapper.bias_rounding(step), np.float64)
    return np.round(bias / np.asarray(wrapper.accumulator_step(step), np.float64)).astype(np.int64)


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_integers_are_those_of_keras(compressed, engine):
    np.testing.assert_array_equal(
        _integers(kc.convert(compressed, engine=engine)), _in_keras(compressed)
    )


def test_a_converter_that_rounds_by_itself_finds_others(compressed, monkeypatch):
    monkeypatch.setattr(deployment, "_input_steps", lambda graph: {})
    found = _integers(kc.convert(compressed))
    assert 0 < np.sum(found != _in_keras(compressed)) < CHANNELS / 2
