import numpy as np
import pytest

from keras_compress.evaluation.weight_histogram import file_histogram, keras_histogram
from keras_compress.evaluation.weights import total_sparsity, weight_tensors
from keras_compress.tflite import flatbuffer


@pytest.mark.parametrize("kind", ["float32", "int8", "uint8", "int16x8"])
def test_zeros_in_the_file_are_those_of_the_kernels(classifier, files, kind):
    tensors = weight_tensors(flatbuffer.read(getattr(files, kind)))
    kernels = [classifier.get_layer(name).get_weights()[0] for name in ("stem", "probs")]
    assert [t.operator for t in tensors] == ["CONV_2D", "FULLY_CONNECTED"]
    assert [t.layer for t in tensors] == ["stem", "probs"]
    assert [t.size for t in tensors] == [kernel.size for kernel in kernels]
    assert [t.zeros for t in tensors] == [(kernel == 0).sum() for kernel in kernels]
    assert total_sparsity(tensors) == pytest.approx(0.25)
    assert tensors[0].to_json()["sparsity"] == 0.25


def test_biases_shapes_and_elementwise_constants_are_no_weights(handmade):
    from ai_edge_litert import schema_py_generated as schema

    numbers = np.array([[0, 1, 2]], np.int8).tobytes()
    one = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": (1, 3), **one},
        {"name": "factor", "shape": (1, 3), "data": numbers, **one},
        {"name": "y", "shape": (1, 3), **one},
    ]
    content = handmade(tensors, [("MUL", [0, 1], [2], schema.MulOptionsT())], [0], [2])
    assert weight_tensors(flatbuffer.read(content)) == []
    assert total_sparsity([]) is None
    assert file_histogram(flatbuffer.read(content)) is None


def test_zero_point_and_not_zero_stands_for_zero_and_shared_weights_count_once(handmade):
    from ai_edge_litert import schema_py_generated as schema

    weights = np.array([[3, 0, 3], [9, 3, 0]], np.uint8).tobytes()
    one = {"type": "UINT8", "scale": [1.0], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": (1, 3), **one},
        {**one, "name": "w", "shape": (2, 3), "zero_point": [3], "data": weights},
        {"name": "y", "shape": (1, 2), **one},
        {"name": "z", "shape": (1, 2), **one},
    ]
    options = schema.FullyConnectedOptionsT()
    operators = [("FULLY_CONNECTED", [0, 1, -1], [k], options) for k in (2, 3)]
    model = flatbuffer.read(handmade(tensors, operators, [0], [2, 3]))
    [tensor] = weight_tensors(model)
    assert (tensor.size, tensor.zeros) == (6, 3)
    histogram = file_histogram(model)
    assert (histogram.size, histogram.zeros) == (6, 3)
    # Relative to the channel's largest: -3 of 3 in the first row, 6 and -3 of 6 in the second.
    found = histogram.centers[np.flatnonzero(histogram.counts)]
    np.testing.assert_allclose(found, [-1, -0.5, 1], atol=2.5 / 127)


def test_half_floats_that_are_dequantized_first_count(handmade):
    weights = np.array([[0, 1, 2]], np.float16).tobytes()
    tensors = [
        {"name": "w", "shape": (1, 3), "type": "FLOAT16", "data": weights},
        {"name": "real", "shape": (1, 3), "type": "FLOAT32"},
    ]
    model = flatbuffer.read(handmade(tensors, [("DEQUANTIZE", [0], [1], None)], [], [1]))
    [tensor] = weight_tensors(model)
    assert (tensor.size, tensor.zeros, tensor.dtype) == (3, 1, "float16")


def test_histograms_before_and_after_are_of_the_same_weights(classifier, files):
    """Keras' kernels, the float file and the int8 file agree to a rounding step."""
    by_keras = keras_histogram(classifier)
    by_float = file_histogram(flatbuffer.read(files.float32))
    by_int8 = file_histogram(flatbuffer.read(files.int8))
    assert by_keras == by_float
    assert by_int8.zeros == by_keras.zeros
    assert by_int8.size == by_keras.size
    moved = np.abs(np.cumsum(by_int8.counts) - np.cumsum(by_keras.counts)).max()
    assert moved < 0.03 * by_keras.size


def test_each_integer_has_one_bin(handmade):
    every = np.arange(-127, 128, dtype=np.int8)
    tensors = [{"name": "w", "shape": (1, 255), "type": "INT8", "data": every.tobytes()}]
    tensors[0].update(scale=[0.1], zero_point=[0])
    tensors.append({"name": "real", "shape": (1, 255), "type": "FLOAT32"})
    model = flatbuffer.read(handmade(tensors, [("DEQUANTIZE", [0], [1], None)], [], [1]))
    histogram = file_histogram(model)
    assert histogram.zeros == 1
    assert histogram.counts == (*[5] * 25, 4, *[5] * 25)
