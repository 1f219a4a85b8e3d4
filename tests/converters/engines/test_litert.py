import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.engines.litert import Litert
from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.tflite import flatbuffer
from tests.fixtures.versions import NAMED_CONSTANTS


@pytest.fixture(scope="module")
def calibrated(cnn, samples):
    model = kc.compress(
        cnn, quantization=kc.Quantization(weight_bits=4, weight_quantizer="least_squares")
    )
    return kc.calibrate(model, samples)


def _sorted(content):
    return sorted(flatbuffer.read(content).tensors, key=lambda t: (t.name.split(";")[0], t.shape))


def test_trained_ranges_and_scales_are_those_of_the_other_engine(calibrated):
    """Every integer and every scale; only float rounding may differ in a bias's scale."""
    own = kc.convert(calibrated, "android_cpu", engine="litert")
    other = kc.convert(calibrated, "android_cpu")
    operators = [flatbuffer.read(converted).operators for converted in (own, other)]
    assert [op.name for op in operators[0]] == [op.name for op in operators[1]]
    for mine, theirs in zip(*operators, strict=True):
        for a, b in zip(
            (*mine.inputs, *mine.outputs), (*theirs.inputs, *theirs.outputs), strict=True
        ):
            if a is None or b is None:
                assert a is b
                continue
            assert (a.dtype, a.shape, a.axis) == (b.dtype, b.shape, b.axis)
            np.testing.assert_allclose(a.scales, b.scales, rtol=3e-7)
            np.testing.assert_array_equal(a.zero_points, b.zero_points)
            if a.is_constant and a.dtype != "int32":
                np.testing.assert_array_equal(a.data, b.data)
            elif a.is_constant:
                assert np.abs(a.data.astype(int) - b.data).max() <= 1


def test_plain_models_get_the_range_of_all_samples(cnn, samples):
    """Against Keras: the largest input of `join` is that of the model, exactly."""
    import keras

    converted = kc.convert(cnn, representative_dataset=samples, engine="litert")
    names = converted.layer_names()
    tensor = next(
        op.outputs[0]
        for op in flatbuffer.read(converted).operators
        if names.first(op) == "pointwise"
    )
    values = np.asarray(keras.Model(cnn.input, cnn.get_layer("pointwise").output)(samples))
    assert tensor.scales[0] == pytest.approx((values.max() - values.min()) / 255, rel=1e-4)


def test_loops_are_refused_by_layer():
    import keras

    model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4, name="memory")])
    x = np.ones((12, 5, 3), np.float32) * np.arange(12).reshape(-1, 1, 1)
    with pytest.raises(ConversionError, match="unroll=True.*memory"):
        kc.convert(model, representative_dataset=x, engine="litert")


@NAMED_CONSTANTS
def test_operators_without_a_recipe_are_refused_by_layer():
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.PReLU(name="p")])
    x = np.random.default_rng(0).normal(size=(12, 6, 6, 2)).astype(np.float32)
    with pytest.raises(ConversionError, match="PRELU.*'p'"):
        kc.convert(model, representative_dataset=x, engine="litert")
    assert kc.convert(model, representative_dataset=x).inspect().float_tensors == 0


def test_the_timeout_must_be_above_zero():
    with pytest.raises(InvalidArgumentError, match="timeout_s"):
        Litert(timeout_s=0)
