"""isolated_values.py: the same tensors as in this process, and a crash that is an error."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.analysis.isolated_values import IsolatedValues
from keras_compress.converters.tensor_values import TensorValues
from keras_compress.errors import EvaluationError

SAMPLES = np.array([[1.0, 2.0, 3.0], [1.0, -2.0, 3.0]], np.float32)


@pytest.fixture
def dividing(builder):
    """A file that divides -2**31 by its inputs plus 1: by -1 is a SIGFPE, in C."""
    x = builder.tensor((1, 3), "float32", name="x")
    one = builder.tensor((1, 3), "float32", data=1.0)
    divisor = builder.tensor((1, 3), "float32")
    casted = builder.tensor((1, 3), "int32", scales=())
    lowest = builder.tensor((1, 3), "int32", data=-(2**31), scales=())
    rest = builder.tensor((1, 3), "int32", scales=(), name="y")
    builder.operator("ADD", [x, one], [divisor])
    builder.operator("CAST", [divisor], [casted], inDataType=0, outDataType=2)
    builder.operator("FLOOR_MOD", [lowest, casted], [rest])
    return builder.content([x], [rest])


def test_the_tensors_are_those_of_this_process(dividing):
    batches = [[np.full((1, 3), value, np.float32)] for value in (1.0, 2.0, 6.0)]
    here, there = TensorValues(dividing), IsolatedValues(dividing)
    for one, other in zip(here.run_each(batches), there.run_each(batches), strict=True):
        assert list(one) == list(other)
        for index, array in one.items():
            np.testing.assert_array_equal(array, other[index], strict=True)


def test_a_file_that_crashes_on_the_samples_does_not_end_the_process(dividing, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    path = tmp_path / "download.tflite"
    path.write_bytes(dividing)
    with pytest.raises(EvaluationError, match="crashed .SIGFPE.* on this file"):
        kc.analyze(model, path, SAMPLES, sensitivity=False)
