import numpy as np
import pytest

from keras_compress.evaluation.quantization import Quantizer, dequantize, quantize


@pytest.fixture(scope="module")
def quantize_operator(files):
    """TFLite's own QUANTIZE, with its reference kernel, and the parameters that it uses."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=files.float_around,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = next(
        d for d in interpreter.get_tensor_details() if d["name"].endswith("tfl.quantize")
    )

    def run(values):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        return interpreter.get_tensor(details["index"])

    return run, *details["quantization"]


def test_rounds_and_saturates_as_tflite_does(quantize_operator):
    operator, scale, zero_point = quantize_operator
    random = np.random.default_rng(0)
    ties = random.integers(-600, 600, (40, 1, 8, 8, 1)) / 2 * scale
    others = random.normal(0.5, 2, (40, 1, 8, 8, 1))
    for values in np.concatenate([ties, others]).astype(np.float32):
        mine = quantize(values, scale, zero_point, "int8")
        np.testing.assert_array_equal(mine, operator(values))


def test_halves_go_away_from_zero_and_what_is_just_below_does_not():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    values = np.array([0.5, -0.5, 1.5, -1.5, 2.5, below, -below], np.float32)
    assert quantize(values, 1.0, 0, "int8").tolist() == [1, -1, 2, -2, 3, 0, 0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_saturates_at_the_ends_of_each_type(dtype):
    limits = np.iinfo(dtype)
    quantized = quantize([-1e30, 1e30, -np.float32(3.4e38)], 0.01, 3, dtype)
    assert quantized.tolist() == [limits.min, limits.max, limits.min]
    assert quantized.dtype == dtype


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 7), ("int16", 0)])
def test_what_is_on_the_grid_comes_back(dtype, zero_point):
    every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    real = dequantize(every, 0.0123, zero_point)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(quantize(real, 0.0123, zero_point, dtype), every)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_takes_any_type_and_shorter_arrays(dtype):
    values = np.arange(24).reshape(4, 6).astype(dtype)
    quantizer = Quantizer((4, 6), 0.5, -100, "int8")
    np.testing.assert_array_equal(quantizer(values), values.astype(int) * 2 - 100)
    np.testing.assert_array_equal(quantizer(values[:3]), values[:3].astype(int) * 2 - 100)


def test_dequantizes_as_the_file_does(files, images):
    """The float file around the same integers dequantizes its output by TFLite's operator."""
    from ai_edge_litert.interpreter import Interpreter

    outputs = {}
    for name in ("int8", "float_around"):
        interpreter = Interpreter(model_content=getattr(files, name))
        interpreter.allocate_tensors()
        details, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        value = images[:1]
        if name == "int8":
            value = quantize(value, *details["quantization"], "int8")
        interpreter.set_tensor(details["index"], value)
        interpreter.invoke()
        outputs[name] = interpreter.get_tensor(end["index"])
        if name == "int8":
            outputs[name] = dequantize(outputs[name], *end["quantization"])
    np.testing.assert_array_equal(outputs["int8"], outputs["float_around"])
