"""Arrays: x alone or (x, y), each an array, or a list or dict of arrays."""

from collections.abc import Mapping
from typing import Any

from keras_compress.data.array_source import ArraySource
from keras_compress.data.element import PAIR_LENGTHS
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.data.structure import is_array, shape_of


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are whole arrays rather than a list of samples or batches."""
    return _is_x(data, inputs) or _is_pair(data, inputs)


def read(data: Any, inputs: Inputs) -> Source:
    """Return the `ArraySource` of x, or of the x and y of a pair."""
    if _is_pair(data, inputs):
        return ArraySource(data[0], data[1])
    return ArraySource(data)


def _is_x(data, inputs):
    if is_array(data) or isinstance(data, Mapping):
        return True
    if not isinstance(data, list | tuple) or not data or not all(map(is_array, data)):
        return False
    if inputs is None:
        return isinstance(data, list) and len(data) not in PAIR_LENGTHS
    if len(inputs) > 1:
        return len(data) == len(inputs)
    return len(data) == 1 and len(shape_of(data[0])) == len(inputs[0].shape) + 1


def _is_pair(data, inputs):
    """Distinguish (x, y) from a list with one array per input, and from a list of batches."""
    if not isinstance(data, list | tuple) or len(data) not in PAIR_LENGTHS:
        return False
    if inputs is None:
        return True
    if isinstance(data, list):
        return _is_whole_x(data[0], inputs) and not _is_whole_x(data[1], inputs)
    if len(inputs) == 1 and is_array(data[0]):
        return not inputs[0].is_sample(shape_of(data[0]))
    return _is_whole_x(data[0], inputs)


def _is_whole_x(value, inputs):
    if isinstance(value, Mapping):
        return True
    if is_array(value):
        return len(inputs) == 1 and inputs[0].is_batch(shape_of(value))
    return _is_x(value, inputs)
