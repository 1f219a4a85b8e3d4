"""A `keras.utils.PyDataset` of batches."""

import itertools
from typing import Any

from keras_compress.data.element_source import ElementSource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.data.structure import is_instance


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are a `keras.utils.PyDataset`."""
    return is_instance(data, "keras", "PyDataset")


def read(data: Any, inputs: Inputs) -> Source:
    """Return the `ElementSource` of the batches, in order."""
    # A PyDataset of length None is infinite.
    count = data.num_batches
    numbers = itertools.count() if count is None else range(count)
    return ElementSource((data[number] for number in numbers), inputs, count is None)
