"""The inputs of a file: free sizes get a shape, and the cast of a camera's bytes is the type."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.converters.file_inputs import melt_casts, with_shapes
from keras_compress.converters.options import Mode
from keras_compress.errors import ConversionError, InvalidArgumentError, UnknownNameError
from keras_compress.evaluation import runtimes
from keras_compress.evaluation.quantization import dequantize, quantize

# No sample shows a byte of 0 or above 250.
BYTES = np.random.default_rng(0).integers(1, 250, (32, 8, 8, 3)).astype(np.uint8)


def cast(inputs):
    return layers.Rescaling(1 / 255)(ops.cast(inputs, "float32"))


def rescaled(inputs):
    return layers.Rescaling(1 / 127.5, offset=-1)(inputs)


def normalized(inputs):
    return layers.Normalization(mean=[120.0] * 3, variance=[900.0] * 3)(inputs)


def cropped(inputs):
    return rescaled(layers.ZeroPadding2D(1)(layers.Cropping2D(2)(inputs)))


def read_twice(inputs):
    return layers.Add()([cast(inputs), normalized(inputs)])


def network(begin, dtype="uint8"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), dtype=dtype, name="camera")
    hidden = layers.Conv2D(4, 3, activation="relu")(begin(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(hidden)))


def calibrated(model):
    model = kc.compress(model, quantization="generic_int8")
    kc.calibrate(model, BYTES)
    return model


def assert_near(converted, model, x, runtime="litert"):
    """Compare the file with Keras: on average less than two steps of its output away."""
    with runtimes.open_file(converted, runtime) as opened:
        (source,), (result,) = opened.inputs, opened.outputs
        integers = x if x.dtype == source.dtype else as_integers(x, source)
        (y,) = opened.run([integers])
    error = np.abs(dequantize(y, result.scale, result.zero_point) - ops.convert_to_numpy(model(x)))
    assert error.mean() < 2 * result.scale


def as_integers(x, tensor):
    return quantize(x, tensor.scale, tensor.zero_point, tensor.dtype)


def plain(model):
    return model


OTHER_WAY = pytest.mark.verify("converts each network again, from samples and calibrated")
WAYS = [
    pytest.param(way, begin, marks=OTHER_WAY if (i + k) % 2 else ())
    for i, begin in enumerate((cast, rescaled, normalized, cropped, read_twice))
    for k, way in enumerate((calibrated, plain))
]
SHAPES = [
    pytest.param(way, shapes, marks=marks)
    for way, shapes, marks in (
        (plain, {"image": [8, 8, 3]}, ()),
        (calibrated, (8, 8, 3), ()),
        (plain, (8, 8, 3), OTHER_WAY),
        (calibrated, {"image": [8, 8, 3]}, OTHER_WAY),
    )
]


@pytest.mark.parametrize(("way", "begin"), WAYS)
def test_bytes_are_the_integers_of_the_file(begin, way):
    model = network(begin)
    converted = kc.convert(way(model), "generic_int8", BYTES)
    (given,) = converted.inspect().inputs
    assert (given["dtype"], given["scales"], given["zero_points"]) == ("uint8", [1.0], [0])
    assert converted.inspect().float_tensors == 0
    assert_near(converted, model, BYTES)


def test_the_callers_type_comes_first_and_signed_bytes_are_taken_too():
    model = network(cast)
    (given,) = kc.convert(model, "generic_int8", BYTES, input_type="int8").inspect().inputs
    assert (given["dtype"], given["scales"], given["zero_points"]) == ("int8", [1.0], [-128])
    signed = (BYTES.astype(int) - 128).astype(np.int8)
    (given,) = kc.convert(network(cast, "int8"), "generic_int8", signed).inspect().inputs
    assert (given["dtype"], given["scales"], given["zero_points"]) == ("int8", [1.0], [0])


def test_sixteen_bits_and_another_engine_take_bytes_too():
    model = network(rescaled)
    assert kc.convert(model, "generic_int16x8", BYTES).inspect().float_tensors == 0
    converted = kc.convert(model, "generic_int8", BYTES, engine="litert")
    (given,) = converted.inspect().inputs
    assert (given["dtype"], given["scales"]) == ("uint8", [1.0])


def test_tflite_micro_takes_bytes():
    model = network(cast)
    assert_near(kc.convert(model, "cortex_m4", BYTES), model, BYTES, "tflite_micro")


def test_what_reads_whole_numbers_keeps_them():
    tokens = keras.Input((4,), dtype="uint8")
    table = layers.Embedding(256, 2)(tokens)
    both = keras.Model(tokens, [layers.Flatten()(table), layers.Rescaling(0.1)(tokens)])
    assert melt_casts(both, Mode.INT8).model is both
    handed_on = keras.Model(tokens, [tokens, layers.Rescaling(0.1)(tokens)])
    assert melt_casts(handed_on, Mode.INT8).model is handed_on
    model = network(cast)
    assert melt_casts(model, Mode.FLOAT32).model is model


def test_code_that_is_not_keras_is_named():
    def scale(pixels):
        return ops.cast(pixels, "float32") / 255

    with pytest.raises(ConversionError, match="CAST .*layer 'scale'"):
        kc.convert(network(layers.Lambda(scale, name="scale")), "generic_int8", BYTES)


def free(dtype="float32"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), dtype=dtype, name="image")
    hidden = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(hidden)))


@pytest.mark.parametrize(("way", "shapes"), SHAPES)
def test_free_sizes_are_given_at_conversion(way, shapes):
    model = free()
    x = BYTES.astype(np.float32)
    compressed = way(model)
    converted = kc.convert(compressed, "generic_int8", x, input_shapes=shapes)
    assert converted.inspect().inputs[0]["shape"] == [1, 8, 8, 3]
    assert model.input_shape == (None, None, None, 3)
    assert_near(converted, model, x)


def test_a_trained_model_keeps_its_state_in_the_shaped_copy():
    model = free()
    model.compile("sgd", "mse", jit_compile=False)
    compressed = kc.compress(model, quantization="generic_int8", pruning=kc.Pruning())
    compressed.compile("sgd", "mse", run_eagerly=True)
    x, y = BYTES.astype(np.float32), np.zeros((32, 2), np.float32)
    callbacks = [kc.PruningCallback(kc.OneShot(0.5, step=1)), kc.QuantizationCallback(begin_step=2)]
    compressed.fit(x, y, batch_size=8, verbose=0, callbacks=callbacks)
    shaped = with_shapes(compressed, (8, 8, 3))
    for weight, copy in zip(compressed.get_weights(), shaped.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, copy)
    np.testing.assert_array_equal(compressed(x), shaped(x))


@pytest.mark.parametrize(
    ("shapes", "error", "message"),
    [
        ((8, 8, 4), InvalidArgumentError, r"\(None, None, 3\). Received: \(8, 8, 4\)"),
        ((8, 8), InvalidArgumentError, "keep the others"),
        ((None, 8, 3), InvalidArgumentError, "whole numbers above 0"),
        ((1, 1, 3), InvalidArgumentError, "every layer can take"),
        ({"imgae": (8, 8, 3)}, UnknownNameError, "image"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(shapes, error, message):
    with pytest.raises(error, match=message):
        kc.convert(free(), "float32", input_shapes=shapes)


def test_several_inputs_are_named():
    a, b = keras.Input((None, 2), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate()([layers.GlobalMaxPooling1D()(a), b])
    model = keras.Model([a, b], joined)
    shaped = with_shapes(model, {"a": (5, 2)})
    assert [tuple(tensor.shape) for tensor in shaped.inputs] == [(None, 5, 2), (None, 3)]
    with pytest.raises(InvalidArgumentError, match="'a', 'b'"):
        with_shapes(model, (5, 2))


def test_the_message_about_free_sizes_names_the_argument_that_helps():
    with pytest.raises(kc.CompressionError, match=r"input_shapes=\{'image': \(224, 224, 3\)\}"):
        kc.convert(free(), "float32")
