"""Kernels round sums once, or twice with packed weights; the simulation gives the same integers."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

import keras_compress as kc
from keras_compress.quantization.requantization import rescaled_in_8_bits, rounded_twice


def _by_integers(accumulators, multiplier):
    """Fixed-point multiplication and shift, each rounded, in Python's integers."""
    mantissa, exponent = np.frexp(multiplier)
    fixed, shift = round(float(mantissa) * 2**31), -int(exponent)
    high = [(value * fixed + 2**30) >> 31 for value in map(int, accumulators)]
    return np.array([(value + (1 << shift >> 1)) >> shift for value in high])


@pytest.mark.parametrize("multiplier", [0.3, 0.031, 0.0173, 0.0021])
def test_integers_are_those_of_the_fixed_point_arithmetic(multiplier):
    accumulators = np.random.default_rng(0).integers(-3000, 3000, 4000)
    values = ops.convert_to_tensor(accumulators[:, None] * multiplier, "float32")
    step = ops.convert_to_tensor([multiplier], "float32")
    found = np.asarray(rounded_twice(values, step, ops.ones(())))[:, 0]
    expected = _by_integers(accumulators, multiplier)
    assert np.mean(np.round(found) == expected) > 0.9995
    once = np.round(accumulators * multiplier)
    if multiplier > 0.01:
        assert np.mean(once == expected) < 0.999


def test_values_pass_where_the_output_is_not_rounded():
    values = ops.convert_to_tensor([[0.123, -4.56]])
    found = rounded_twice(values, ops.convert_to_tensor([0.1, 0.2]), ops.zeros(()))
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("multiplier", [0.031, 0.0047])
def test_ties_go_away_from_zero_on_request(multiplier):
    """As BATCH_MATMUL rounds: the same for -x as for x, with the other sign."""
    accumulators = np.random.default_rng(0).integers(1, 3000, 4000)
    step = ops.convert_to_tensor([multiplier], "float32")
    both = [
        ops.convert_to_numpy(rounded_twice(values, step, ops.ones(()), away=True))[:, 0]
        for sign in (1, -1)
        for values in [ops.convert_to_tensor(sign * accumulators[:, None] * multiplier, "float32")]
    ]
    expected = _by_integers(accumulators, multiplier)
    assert np.mean(np.round(both[0]) == expected) > 0.9995
    np.testing.assert_array_equal(both[0], -both[1])


@pytest.mark.parametrize("ratio", [0.005, 0.3, 0.7131, 1.0, 1.026, 2.5])
def test_quantize_multiplies_by_eight_bits(ratio):
    """XNNPACK's arithmetic in Python's integers."""
    integers = np.arange(-128, 128)
    multiplier = round(256 * ratio)
    expected = [(q * multiplier + 128) >> 8 for q in integers.tolist()]
    values = rescaled_in_8_bits(ops.convert_to_tensor(integers, "float32") * ratio, ratio, 1.0)
    np.testing.assert_array_equal(np.round(ops.convert_to_numpy(values)), expected)


@pytest.mark.parametrize("steps", [(0.0, 1.0), (1.0, 0.0), (1.0, 300.0)])
def test_values_pass_where_quantize_is_not_xnnpacks(steps):
    values = ops.convert_to_tensor([0.5, -3.0])
    np.testing.assert_array_equal(rescaled_in_8_bits(values, *steps), values)


def _network(end):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", name="conv", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    if end == "depthwise":
        x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    if end == "signed":
        x = layers.Conv2D(5, 3, name="signed")(x)
    if end == "dense":
        x = layers.Dense(40, name="dense")(layers.Flatten()(x))
    return keras.Model(inputs, x)


# Once for each end and width in the quick suite.
OTHER_WIDTH = pytest.mark.verify(
    "calibrates, converts and runs each network again, of the other width"
)
ENDS = [
    pytest.param(end, bits, marks=OTHER_WIDTH if (i + k) % 2 else ())
    for i, end in enumerate(("conv", "depthwise", "signed", "dense"))
    for k, bits in enumerate((4, 8))
]


@pytest.mark.parametrize(("end", "bits"), ENDS)
def test_the_file_gives_the_integers_of_keras(end, bits, tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 8, 8, 3)).astype("float32")
    profile = "android_cpu"
    spec = kc.Quantization(profile=profile, weight_bits=bits)
    model = kc.calibrate(kc.compress(_network(end), quantization=spec), x, batch_size=100)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    interpreter = Interpreter(model_content=kc.convert(model, profile).content)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    integers = np.clip(np.round(x / scale) + zero_point, -128, 127).astype("int8")
    found = []
    for image in integers:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    # Values already on the grid are unchanged by rounding at the input.
    x = np.float32(integers - np.float32(zero_point)) * np.float32(scale)
    scale, zero_point = target["quantization"]
    expected = np.round(ops.convert_to_numpy(model(x)) / scale) + zero_point
    assert np.mean(expected == np.array(found)) > (0.998 if bits == 4 else 0.9999)
