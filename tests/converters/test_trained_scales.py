"""What a weight quantizer chose is what the file holds: read back and compared."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.deployment import prepare
from keras_compress.converters.weight_scales import integers
from keras_compress.quantization.quantizers.power_of_two import PowerOfTwo
from keras_compress.tflite import flatbuffer


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 10, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(6, name="head")(x))
    random = np.random.default_rng(0)
    model.get_layer("norm").set_weights(
        [random.uniform(0.5, 2, 8) * sign for sign in (1, 1, 1)] + [random.uniform(0.5, 2, 8)]
    )
    # Heavy tails, so that the best step is not that of the largest weight.
    for layer in model.layers:
        if layer.weights and layer.name != "norm":
            layer.set_weights([random.standard_t(3, w.shape) * 0.2 for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).normal(size=(64, 10, 10, 3)).astype("float32")


def _carried(converted, kernel):
    """The tensors of a file that hold exactly a kernel's integers, with its scales."""
    wanted = integers(kernel).ravel()
    for tensor in flatbuffer.read(converted).tensors:
        if not tensor.is_constant or tensor.size != wanted.size:
            continue
        if np.array_equal(tensor.data.ravel(), wanted):
            np.testing.assert_allclose(tensor.scales, np.atleast_1d(kernel.scales), rtol=1e-5)
            return True
    return False


BRANCHES = pytest.mark.verify("traces a codebook for each width up to 7")
CASES = [
    pytest.param("least_squares", 8, marks=BRANCHES),
    ("mean", 2),
    (PowerOfTwo("weights"), 4),
    pytest.param("lloyd_max", 7, marks=BRANCHES),
    pytest.param("lloyd_max", 4, marks=BRANCHES),
    ("learned_step", 3),
]


@pytest.mark.parametrize(("quantizer", "bits"), CASES, ids=str)
def test_the_file_holds_the_trained_integers_and_scales(network, samples, quantizer, bits):
    spec = kc.Quantization(weight_bits=bits, weight_quantizer=quantizer)
    model = kc.compress(network, quantization=spec)
    kc.calibrate(model, samples)
    if quantizer == "learned_step":
        # A few steps take less time than their trace.
        model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
        model.fit(samples, np.zeros((64, 6), "float32"), verbose=0)
    converted = kc.convert(model)
    kernels = prepare(model).kernels
    assert len(kernels) == 3
    assert all(_carried(converted, kernel) for kernel in kernels)
    labels = np.asarray(model(samples)).argmax(axis=1)
    result = kc.evaluate(converted, samples, labels, latency_runs=0)
    assert result.model.accuracy >= 0.98
