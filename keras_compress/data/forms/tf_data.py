"""A `tf.data.Dataset` of samples or batches."""

from typing import Any

from keras_compress.data.element_source import ElementSource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.data.structure import is_instance

# tf.data.INFINITE_CARDINALITY
_ENDLESS = -1


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are a `tf.data.Dataset`."""
    return is_instance(data, "tensorflow", "DatasetV2")


def read(data: Any, inputs: Inputs) -> Source:
    """Return the `ElementSource` of the elements as numpy arrays."""
    endless = int(data.cardinality()) == _ENDLESS
    return ElementSource(data.as_numpy_iterator(), inputs, endless)
