"""Interpret one element of an iterable: its inputs, its targets, and whether it is a batch."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.data.arrangement import wrong_shape
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.source import count_samples
from keras_compress.data.structure import is_array, leaves, map_leaves, shape_of, to_numpy
from keras_compress.errors import InvalidArgumentError

# (x, y) and (x, y, sample_weight), as for `fit`.
PAIR_LENGTHS = (2, 3)


@dataclasses.dataclass(frozen=True, eq=False)
class Element:
    """Inputs and targets with a batch dimension.

    Args:
        x: Inputs: an array, or a list or dict of arrays.
        y: Targets in one of these forms, or `None`.
        is_batch: Whether the element already had a batch dimension.
        count: Number of samples.
    """

    x: Any
    y: Any
    is_batch: bool
    count: int

    def head(self, count: int) -> "Element":
        """Return the first samples, at most `count`."""
        if count >= self.count:
            return self
        x, y = (map_leaves(lambda array: array[:count], part) for part in (self.x, self.y))
        return Element(x, y, self.is_batch, count)


def read_element(
    value: Any, inputs: Sequence[InputSpec] | None, position: int, targets: bool = True
) -> Element:
    """Read an element of an iterable.

    It is a sample if its arrays have as many dimensions as the inputs' samples, and a batch if
    they have one more. A tuple (x, y) or (x, y, weights) is distinguished from a tuple with one
    array for each input by the inputs' number and shapes; weights are ignored.

    Args:
        value: An array; a list, tuple or dict with one array for each input; or a pair of one of
            these and targets.
        inputs: `InputSpec` of each input; `None` for a batch as for `fit`.
        position: Index of the element, for error messages.
        targets: Whether to read targets; otherwise they are `None`.

    Returns:
        An `Element`.

    Raises:
        InvalidArgumentError: The number of arrays differs from that of inputs, or a shape is
            wrong.
    """
    where = f" in item {position} of the data"
    x, y = (_split_for_fit if inputs is None else _split)(value, inputs, where)
    x, y = map_leaves(to_numpy, x), map_leaves(to_numpy, y if targets else None)
    is_batch = inputs is None or _is_batch(leaves(x), inputs, where)
    if not is_batch:
        x, y = (map_leaves(lambda array: array[np.newaxis], part) for part in (x, y))
    return Element(x, y, is_batch, count_samples(x, y, where))


def _split_for_fit(value, _, where):
    if isinstance(value, list | tuple) and len(value) in PAIR_LENGTHS:
        return value[0], value[1]
    return value, None


def _split(value, inputs, where):
    """Return x, with one array for each input, and y."""
    if isinstance(value, list | tuple) and _is_pair(value, inputs):
        x, _ = _split(value[0], inputs, where)
        return x, value[1]
    if isinstance(value, Mapping):
        return value, None
    if len(inputs) == 1:
        return to_numpy(value[0] if _is_list_of_one(value, inputs[0]) else value), None
    if isinstance(value, list | tuple) and len(value) == len(inputs):
        return list(map(to_numpy, value)), None
    parts = f"{len(value)} parts" if isinstance(value, list | tuple) else "one array"
    raise InvalidArgumentError(
        f"Each item of the data must hold one array for each input "
        f"({', '.join(repr(spec.name) for spec in inputs)}). Received: {parts}{where}"
    )


def _is_list_of_one(value, spec):
    if not isinstance(value, list | tuple) or len(value) != 1 or not is_array(value[0]):
        return False
    return spec.is_sample(shape_of(value[0])) or spec.is_batch(shape_of(value[0]))


def _is_pair(value, inputs):
    """Distinguish (x, y) and (x, y, weights) from one array per input and from nested lists."""
    if len(value) not in PAIR_LENGTHS:
        return False
    if isinstance(value[0], Mapping) or (len(inputs) > 1 and isinstance(value[0], list | tuple)):
        return True
    if len(inputs) == 1 and _is_list_of_one(value[0], inputs[0]):
        return True
    if len(inputs) > 1 or not is_array(value[0]):
        return False
    shape = shape_of(value[0])
    if inputs[0].is_sample(shape) or inputs[0].is_batch(shape):
        return True
    # Rows of one sample or batch all have the same shape: any other tuple is a pair too.
    return isinstance(value, tuple) and {shape_of(part) for part in value} != {shape}


def _is_batch(arrays, inputs, where):
    # Compares the sum of all ranks: it may not be known yet which array is for which input.
    extra = sum(array.ndim for array in arrays) - sum(len(spec.shape) for spec in inputs)
    if len(arrays) != len(inputs):
        return True  # `arrange` reports which one is missing
    if len(inputs) == 1:
        (array,), (spec,) = arrays, inputs
        if not spec.is_sample(array.shape) and not spec.is_batch(array.shape):
            raise wrong_shape(array.shape, spec, where)
    elif extra not in (0, len(inputs)):
        raise InvalidArgumentError(
            f"Each item must hold one sample, or one batch of samples, for each of the inputs "
            f"{', '.join(map(str, inputs))}. Received: arrays of shape "
            f"{', '.join(str(array.shape) for array in arrays)}{where}"
        )
    return extra > 0
