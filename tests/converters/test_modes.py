"""Each mode that LiteRT executes: the file holds what it promises and answers as Keras does."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.checks.weight_types import WeightTypes
from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.converters.verification import read_back
from keras_compress.errors import EvaluationError, InvalidArgumentError, UnknownNameError
from keras_compress.tflite import flatbuffer
from tests.fixtures.trained import networks

AT_ONCE = {"batch_size": 200}


@pytest.fixture(scope="module")
def digits():
    """Images in 0 .. 1 and labels; the last 597 are for testing."""
    return networks.digit_images()


@pytest.fixture(scope="module")
def network():
    return networks.load("digits")


def _agreement(model, converted, images, runtime="litert"):
    """Fraction of images to which the file gives the label of the Keras model."""
    labels = keras.ops.convert_to_numpy(model(images)).argmax(axis=1)
    result = kc.evaluate(converted, images, labels, runtime=runtime, latency_runs=0)
    return result.model.accuracy


def _in_float16(model):
    half = keras.models.clone_model(model)
    half.set_weights([w.astype("float16").astype("float32") for w in model.get_weights()])
    return half


ROADS = [
    ("generic_int8", 8),
    ("android_cpu", 4),
    ("generic_int16x8", 8),
    ("dynamic_range", 8),
    ("dynamic_range", 4),
]


OTHER_ENGINE = pytest.mark.verify("converts and evaluates each road again, by the other engine")
BY_ENGINE = [
    pytest.param(*road, engine, marks=OTHER_ENGINE if (i + k) % 2 else ())
    for i, road in enumerate(ROADS)
    for k, engine in enumerate(("tensorflow", "litert"))
]


@pytest.mark.parametrize(("profile", "bits", "engine"), BY_ENGINE)
def test_simulated_and_deployed_agree(network, digits, profile, bits, engine):
    images, _ = digits
    quantization = kc.Quantization(profile=profile, weight_bits=bits)
    model = kc.calibrate(kc.compress(network, quantization=quantization), images[:200], **AT_ONCE)
    converted = kc.convert(model, profile, images[:200], engine=engine)
    assert _agreement(model, converted, images) >= 0.995
    types = {
        op.inputs[1].dtype
        for op in flatbuffer.read(converted).operators
        if op.name in ("CONV_2D", "FULLY_CONNECTED") and op.inputs[1].size >= 1024
    }
    assert types == {f"int{bits}"}


def _int4_for_cortex(network, images, **settings):
    spec = kc.Quantization(profile="cortex_m4", weight_bits=4, **settings)
    model = kc.calibrate(kc.compress(network, quantization=spec), images[:200], **AT_ONCE)
    return model, kc.convert(model, "cortex_m4")


def test_int4_runs_in_tflite_micro(network, digits):
    images, _ = digits
    model, converted = _int4_for_cortex(network, images)
    operators = flatbuffer.read(converted).operators
    kinds = {op.name: op.inputs[1].dtype for op in operators if len(op.inputs) == 3}
    assert kinds["FULLY_CONNECTED"] == kinds["CONV_2D"] == kinds["DEPTHWISE_CONV_2D"] == "int4"
    assert kc.check(converted, "cortex_m4").verdict == "runs"
    assert _agreement(model, converted, images[1200:], "tflite_micro") >= 0.995


@pytest.mark.verify("converts and runs one more network")
def test_int4_with_a_scale_for_each_dense_channel_is_said_not_to_run_and_does_not(network, digits):
    images, _ = digits
    model, converted = _int4_for_cortex(network, images, per_channel_dense=True)
    assert kc.check(converted, "cortex_m4").verdict == "does_not_run"
    with pytest.raises(EvaluationError, match="FULLY_CONNECTED"):
        _agreement(model, converted, images[:1], "tflite_micro")


@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_float16_agrees_and_halves_the_weights(network, digits, engine):
    images, _ = digits
    converted = kc.convert(network, "float16", engine=engine)
    assert _agreement(_in_float16(network), converted, images) >= 0.995
    weights = sum(weight.size for weight in network.get_weights())
    assert len(converted) < 2 * weights + 10_000


def test_widths_by_layer_are_what_the_file_holds(network, digits):
    images, _ = digits
    bits = {"hidden": 4, "pointwise": 4}
    quantization = kc.Quantization(profile="android_cpu", weight_bits=bits)
    model = kc.calibrate(kc.compress(network, quantization=quantization), images[:200], **AT_ONCE)
    converted = kc.convert(model, "android_cpu")
    names = converted.layer_names()
    found = {
        names.first(op): op.inputs[1].dtype.bits
        for op in flatbuffer.read(converted).operators
        if len(op.inputs) > 2
    }
    assert found == {"stem": 8, "depthwise": 8, "pointwise": 4, "hidden": 4, "probs": 8}
    assert _agreement(model, converted, images) >= 0.995


def test_operators_without_int4_kernels_get_bytes():
    """LiteRT refuses TRANSPOSE_CONV with packed weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 16))
    model = keras.Model(inputs, keras.layers.Conv2DTranspose(8, 3, name="up")(inputs))
    x = np.random.default_rng(0).normal(size=(40, 4, 4, 16)).astype("float32")
    quantization = kc.Quantization(profile="android_cpu", weight_bits=4)
    model = kc.calibrate(kc.compress(model, quantization=quantization), x)
    expected = np.asarray(model(x))
    converted = kc.convert(model, "android_cpu", x, engine="litert")
    result = kc.evaluate(converted, x, expected, metrics=["mse"])
    assert result.model.metrics["mse"] < 1e-3 * np.var(expected)


def test_what_a_target_cannot_run_is_refused(network, digits):
    images, _ = digits
    with pytest.raises(InvalidArgumentError, match="coral_edgetpu.*weights of 8 bits"):
        kc.compress(network, quantization=kc.Quantization(profile="coral_edgetpu", weight_bits=4))
    with pytest.raises(InvalidArgumentError, match="coral_edgetpu.*weight_bits=4"):
        kc.compress(
            network,
            quantization=kc.Quantization(profile="coral_edgetpu", weight_bits={"hidden": 4}),
        )
    with pytest.raises(UnknownNameError, match="Did you mean 'hidden'"):
        kc.compress(network, quantization=kc.Quantization(weight_bits={"hiden": 4}))
    narrow = kc.compress(network, quantization=kc.Quantization(activation_bits=4))
    kc.calibrate(narrow, images[:50])
    with pytest.raises(InvalidArgumentError, match="4-bit activations"):
        kc.convert(narrow, "generic_int8")


@pytest.mark.parametrize("mode", [Mode.FLOAT16, Mode.DYNAMIC_RANGE])
def test_a_file_of_another_type_breaks_the_promise(network, mode):
    content = kc.convert(network, "float32").content
    options = ConversionOptions(mode=mode, input_type="float32", output_type="float32")
    findings = WeightTypes().run(read_back(content, options))
    assert {finding.layer for finding in findings} >= {"pointwise", "hidden"}
    assert {finding.code for finding in findings} == {"weight_type"}
