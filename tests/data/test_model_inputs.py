"""A batch gets the structure and the types of a model's inputs, by name where it has names."""

import keras
import numpy as np
import pytest

from keras_compress.data.model_inputs import as_inputs, input_specs
from keras_compress.errors import InvalidArgumentError, UnknownNameError

# Keras warns of keys that are not the tensors' names, and takes them.
pytestmark = pytest.mark.filterwarnings("ignore:When providing .inputs. as a dict")
A, B = np.ones((4, 3)), np.arange(8).reshape(4, 2)


@pytest.fixture(params=[list, dict])
def model(request):
    a, b = keras.Input((3,), name="a"), keras.Input((2,), dtype="int32", name="b")
    outputs = keras.layers.Concatenate()([a, keras.ops.cast(b, "float32")])
    return keras.Model([a, b] if request.param is list else {"first": a, "second": b}, outputs)


def test_every_structure_becomes_that_of_the_model(model):
    batches = [[A, B], {"b": B, "a": A}]
    if isinstance(model.input, dict):
        batches.append({"second": B, "first": A})
    for batch in batches:
        tensors = as_inputs(model, batch)
        assert type(tensors) is type(model.input)
        first, second = keras.tree.flatten(tensors)
        assert (first.dtype, second.dtype) == ("float32", "int32")
        np.testing.assert_array_equal(second, B)
    assert [spec.shape for spec in input_specs(model)] == [(3,), (2,)]


def test_what_does_not_fit_is_named(model):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        as_inputs(model, {"aa": A, "b": B})
    with pytest.raises(InvalidArgumentError, match="has 2 inputs"):
        as_inputs(model, A)
    with pytest.raises(InvalidArgumentError, match="'b' takes samples of shape"):
        as_inputs(model, [A, A])
