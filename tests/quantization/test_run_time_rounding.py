"""Run-time quantization in Keras: the outputs of LiteRT's kernels, to the last digits of float."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_compress as kc
from keras_compress.wrappers.phase import Phase

MAP = (12, 12, 16)
# Name -> shape of a sample, the layer.
LAYERS = {
    "conv": (MAP, lambda: layers.Conv2D(32, 3, padding="same", name="wide")),
    "conv of groups": (MAP, lambda: layers.Conv2D(256, 1, groups=2, name="wide")),
    "conv, dilated": (MAP, lambda: layers.Conv2D(32, 3, dilation_rate=2, name="wide")),
    "pointwise": (MAP, lambda: layers.Conv2D(128, 1, activation="relu", name="wide")),
    "pointwise, strides of 2": (MAP, lambda: layers.Conv2D(128, 1, strides=2, name="wide")),
    "transposed": (MAP, lambda: layers.Conv2DTranspose(32, 3, strides=2, name="wide")),
    "depthwise": (MAP, lambda: layers.DepthwiseConv2D(9, name="wide")),
    "conv of one dimension": ((64, 16), lambda: layers.Conv1D(32, 3, name="wide")),
    "pointwise of one dimension": ((64, 16), lambda: layers.Conv1D(128, 1, name="wide")),
    "dense": ((16,), lambda: layers.Dense(128, name="wide")),
    "dense on rows": ((6, 16), lambda: layers.Dense(128, name="wide")),
    "einsum": ((6, 16), lambda: layers.EinsumDense("abc,cd->abd", (6, 128), name="wide")),
    "einsum over two axes": (
        (6, 4, 16),
        lambda: layers.EinsumDense("abcd,cde->abe", (6, 32), name="wide"),
    ),
    "einsum on any axes": ((6, 16), lambda: layers.EinsumDense("...x,xy->...y", 128, name="wide")),
}


def _model(kind, bits):
    keras.utils.set_random_seed(0)
    shape, layer = LAYERS[kind]
    model = keras.Sequential([keras.Input(shape), layer()])
    spec = kc.Quantization(profile="dynamic_range", weight_bits=bits)
    return kc.compress(model, quantization=spec)


def _in_litert(content, x):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in x:
        interpreter.set_tensor(source["index"], sample[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    return np.array(found)


# Once for each layer in the quick suite, every other one in 4 bits.
OTHER_WIDTH = pytest.mark.verify("saves, converts and runs each layer again, of the other width")
WIDTHS = [
    pytest.param(kind, bits, marks=OTHER_WIDTH if (i + k) % 2 else ())
    for i, kind in enumerate(LAYERS)
    for k, bits in enumerate((8, 4))
]


@pytest.mark.parametrize(("kind", "bits"), WIDTHS)
def test_keras_answers_as_litert(kind, bits, tmp_path):
    model = _model(kind, bits)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    x *= np.array([1.0, 10.0, 0.1]).reshape(-1, *[1] * (x.ndim - 1)).astype("float32")
    expected = _in_litert(kc.convert(model, "dynamic_range").content, x)
    found = np.asarray(model(x))
    plain = np.asarray(kc.strip(model)(x))
    error, grid = np.abs(found - expected).mean(), np.abs(plain - expected).mean()
    assert error < 1e-3 * grid, (error, grid)


def _rounds_inputs(profile, units, **choices):
    model = keras.Sequential([keras.Input((16,)), layers.Dense(units, name="head")])
    spec = kc.Quantization(profile=profile, **choices)
    head = kc.compress(model, quantization=spec).get_layer("head")
    head.set_phase(Phase.LEARNING)
    x = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")
    rounded = keras.ops.convert_to_numpy(head.rounded_inputs(keras.ops.convert_to_tensor(x)))
    return not np.array_equal(rounded, x)


def test_small_kernels_read_floats():
    assert _rounds_inputs("dynamic_range", 64)
    assert not _rounds_inputs("dynamic_range", 63)


@pytest.mark.parametrize("profile", ["generic_int8", "android_gpu", "cortex_m4"])
def test_kernels_for_targets_that_do_not_quantize_at_run_time_are_left_alone(profile):
    bits = {} if profile != "android_gpu" else {"weight_bits": 8}
    assert not _rounds_inputs(profile, 64, **bits)


def test_gradients_pass_through_the_rounding():
    import tensorflow as tf

    from keras_compress.quantization.run_time_rounding import rounded_at_run_time

    x = tf.constant([[0.2, -1.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(rounded_at_run_time(x, axes=(1,)) ** 2)
    np.testing.assert_allclose(tape.gradient(total, x), 2 * x, atol=0.02)
