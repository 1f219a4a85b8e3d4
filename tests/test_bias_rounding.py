"""A trained layer rounds its bias as the file does: to multiples of input step x kernel step."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.tflite import flatbuffer
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.phase import Phase

BODIES = {
    "CONV_2D": lambda x: layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3)(x)),
    "DEPTHWISE_CONV_2D": lambda x: layers.BatchNormalization(center=False, name="norm")(
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x)
    ),
    "TRANSPOSE_CONV": lambda x: layers.Conv2DTranspose(5, 3, strides=2)(x),
    "FULLY_CONNECTED": lambda x: layers.Dense(7)(layers.Flatten()(x)),
}


def _calibrated(body, **settings):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, body(inputs))
    random = np.random.default_rng(0)
    for layer in model.layers:
        # Wide inputs and steps, so that the rounding of a bias is far above that of a float.
        layer.set_weights([random.uniform(0.1, 1.0, w.shape) for w in layer.get_weights()])
    compressed = kc.compress(model, quantization=kc.Quantization(**settings))
    samples = random.uniform(-40, 40, (32, 8, 8, 3)).astype("float32")
    kc.calibrate(compressed, samples)
    return compressed, samples


def _wrapper(model):
    (wrapper,) = (layer for layer in model.layers if isinstance(layer, CompressedLayer))
    return wrapper


def _input_step(model):
    return next(layer for layer in model.layers if isinstance(layer, ActivationQuantizer)).step


def _biases(model, training=False):
    """What the layer gives for an input of zeros, rounded and not, one value a channel."""
    wrapper = _wrapper(model)
    zeros = np.zeros((1, *wrapper.input[0].shape[1:]), "float32")
    both = [wrapper(zeros, step, training=training) for step in (_input_step(model), None)]
    return [np.asarray(values).reshape(-1, values.shape[-1])[0] for values in both]


# In the quick suite each operator with a scale for each channel and with one, of another width.
OTHER_WIDTH = pytest.mark.verify("calibrates and converts each network again, of the other width")
CASES = [
    pytest.param(operator, per_channel, bits, marks=OTHER_WIDTH if (i + k + n) % 2 else ())
    for i, operator in enumerate(BODIES)
    for k, per_channel in enumerate((True, False))
    for n, bits in enumerate((8, 4))
]


@pytest.mark.parametrize(("operator", "per_channel", "bits"), CASES)
def test_the_rounded_bias_is_the_files(operator, per_channel, bits):
    model, samples = _calibrated(
        BODIES[operator], weight_bits=bits, per_channel=per_channel, per_channel_dense=per_channel
    )
    content = kc.convert(model, representative_dataset=samples).content
    (found,) = (op for op in flatbuffer.read(content).operators if op.name == operator)
    bias = found.inputs[-1]
    stored = bias.data * bias.scales
    rounded, exact = _biases(model)
    step = np.asarray(bias.scales)
    np.testing.assert_allclose(rounded, stored, atol=1e-3 * step.max())
    assert np.abs(rounded - exact).max() > 0.01 * step.max()
    assert (np.abs(rounded - exact) <= 0.501 * step).all()


def test_training_steps_round_it_once_statistics_are_frozen():
    model, _ = _calibrated(BODIES["FULLY_CONNECTED"])
    for layer in (layer for layer in model.layers if hasattr(layer, "set_phase")):
        layer.set_phase(Phase.LEARNING)
    rounded, exact = _biases(model, training=True)
    np.testing.assert_array_equal(rounded, exact)
    _wrapper(model).set_phase(Phase.FROZEN)
    rounded, exact = _biases(model, training=True)
    assert not np.array_equal(rounded, exact)


def test_nothing_is_rounded_before_quantization_begins():
    model, _ = _calibrated(BODIES["FULLY_CONNECTED"])
    for layer in (layer for layer in model.layers if hasattr(layer, "set_phase")):
        layer.set_phase(Phase.OFF)
    rounded, exact = _biases(model)
    np.testing.assert_array_equal(rounded, exact)
