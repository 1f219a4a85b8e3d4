"""What holds for every runtime that is installed, whoever adds it."""

import numpy as np
import pytest

from keras_compress.errors import EvaluationError
from keras_compress.evaluation.runtimes.base import Runtime, TensorDetails
from keras_compress.support import plugins
from keras_compress.tflite import flatbuffer

PACKAGE = "keras_compress.evaluation.runtimes"


@pytest.fixture(params=plugins.names(PACKAGE))
def runtime(request):
    runtime = plugins.get(PACKAGE, request.param)
    assert issubclass(runtime, Runtime)
    assert runtime.name() == request.param
    assert runtime.install.startswith("pip install ")
    if not runtime.available():
        pytest.skip(f"{runtime.package} is not installed here")
    return runtime


@pytest.fixture(scope="module")
def dense(handmade):
    """y = W x + b in int8 with scales of 1, so that integers tell the answer."""
    weights = np.array([[1, -2, 3], [0, 4, -1]], np.int8)
    bias = np.array([5, -5], np.int32)
    one = {"scale": [1.0], "zero_point": [0]}
    tensors = [
        {"name": "x", "shape": (1, 3), "type": "INT8", **one},
        {"name": "w", "shape": (2, 3), "type": "INT8", "data": weights.tobytes(), **one},
        {"name": "b", "shape": (2,), "type": "INT32", "data": bias.tobytes(), **one},
        {"name": "y", "shape": (1, 2), "type": "INT8", **one},
    ]
    operators = [("FULLY_CONNECTED", [0, 1, 2], [3], _options())]
    return flatbuffer.read(handmade(tensors, operators, [0], [3])), weights, bias


def _options():
    from ai_edge_litert import schema_py_generated as schema

    return schema.FullyConnectedOptionsT()


def test_computes_and_describes(runtime, dense):
    model, weights, bias = dense
    x = np.array([[1, 2, 3], [-4, 5, 6], [7, -8, 9]], np.int8)
    with runtime(model) as opened:
        [described] = opened.inputs
        assert described == TensorDetails("x", (1, 3), (1, 3), np.dtype("int8"), 1.0, 0)
        assert opened.outputs[0].name == "y"
        assert opened.rows == 1
        [outputs] = opened.run([x])
        np.testing.assert_array_equal(outputs, x.astype(int) @ weights.T + bias)
        [first] = opened.invoke([x[:1]])
        np.testing.assert_array_equal(first, outputs[:1])
        np.testing.assert_array_equal(opened.run([x])[0], outputs)


def test_times_invocations(runtime, dense):
    with runtime(dense[0]) as opened:
        seconds = opened.time_invocations([np.zeros((1, 3), np.int8)], 5)
    assert len(seconds) == 5
    assert all(second > 0 for second in seconds)


def test_refuses_what_it_cannot_run_in_words(runtime, handmade):
    tensors = [
        {"name": "x", "shape": (1, 3), "type": "INT8", "scale": [1.0], "zero_point": [0]},
        {"name": "y", "shape": (1, 3), "type": "INT8", "scale": [1.0], "zero_point": [0]},
    ]
    model = flatbuffer.read(handmade(tensors, [("STABLEHLO_CASE", [0], [1], None)], [0], [1]))
    with pytest.raises(EvaluationError, match=rf"'{runtime.name()}' does not run this file"):
        runtime(model)


def test_larger_batch_or_a_refusal(runtime, dense):
    model, weights, bias = dense
    x = np.array([[1, 2, 3], [-4, 5, 6]], np.int8)
    if runtime.resizable:
        with runtime(model, shapes=[(2, 3)]) as opened:
            assert opened.rows == 2
            [outputs] = opened.invoke([x])
        np.testing.assert_array_equal(outputs, x.astype(int) @ weights.T + bias)
    else:
        with pytest.raises(EvaluationError, match="cannot change shapes"):
            runtime(model, shapes=[(2, 3)])


def test_version_is_that_of_the_package(runtime):
    assert runtime.version()[0].isdigit()
