"""Run-time quantization in Keras: the outputs of LiteRT's kernels, to the last digits of float."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

import keras_compress as kc
from keras_compress.wrapper import CompressedLayer

LAYERS = {
    "conv": lambda: layers.Conv2D(32, 3, padding="same", name="wide"),
    "pointwise": lambda: layers.Conv2D(128, 1, activation="relu", name="wide"),
    "pointwise, strides of 2": lambda: layers.Conv2D(128, 1, strides=2, name="wide"),
    "depthwise": lambda: layers.DepthwiseConv2D(9, name="wide"),
    "conv of one dimension": lambda: layers.Conv1D(32, 3, name="wide"),
    "dense": lambda: layers.Dense(128, name="wide"),
}


def _model(kind, bits):
    keras.utils.set_random_seed(0)
    shape = (64, 16) if "one" in kind else (16,) if kind == "dense" else (12, 12, 16)
    model = keras.Sequential([keras.Input(shape), LAYERS[kind]()])
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


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", LAYERS)
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


def test_small_kernels_read_floats_and_so_do_those_of_other_profiles():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="head")])
    for profile in ("dynamic_range", "generic_int8"):
        wrapper = kc.compress(model, quantization=profile).get_layer("head")
        assert isinstance(wrapper, CompressedLayer) and not wrapper.rounds_inputs


def test_gradients_pass_through_the_rounding():
    import tensorflow as tf

    from keras_compress.quantization.run_time_rounding import rounded_at_run_time

    x = tf.constant([[0.2, -1.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(rounded_at_run_time(x, per_row=True) ** 2)
    np.testing.assert_allclose(tape.gradient(total, x), 2 * x, atol=0.02)
