"""Samples made from a seed, for conversions that only ask whether a model converts."""

import keras
import numpy as np

from keras_compress.converters import export
from keras_compress.graph.graph import all_layers, trace
from keras_compress.layers.roles import BYTE_RANGES

_SEED = 0
_FARTHEST = 3.0  # of a standard normal distribution, in standard deviations
_FEW = 2  # Integers below it are rows of every table.


def made_up_samples(model: keras.Model, count: int = 4) -> dict[str, np.ndarray]:
    """Make samples of the right shapes and types, the same in each call.

    Real inputs are standard normal, clipped to [-3, 3]; bytes have their whole range; other
    integers are rows of the smallest Embedding that reads them, so that each is in its table.

    Args:
        model: A built Sequential or functional model.
        count: Number of samples.

    Returns:
        Name of an input -> array (count, *shape).

    Raises:
        UnsupportedModelError: An input has a free size, or holds text.

    Example:
        >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2)])
        >>> made_up_samples(model)["x"].shape
        (4, 3)
    """
    random = np.random.default_rng(_SEED)
    graph = trace(model)
    values = dict(zip((layer.name for layer in graph.input_layers), graph.flat_inputs, strict=True))
    samples = {}
    for spec in export.input_specs(model):
        shape = (count, *spec.shape)
        if keras.backend.is_float_dtype(spec.dtype):
            drawn = random.standard_normal(shape).clip(-_FARTHEST, _FARTHEST)
            samples[spec.name] = drawn.astype("float32")
        else:
            smallest, above = _whole_numbers(model, values[spec.name])
            samples[spec.name] = random.integers(smallest, above, shape).astype(spec.dtype)
    return samples


def _whole_numbers(model, value):
    """Return the smallest number that an input takes, and the one above the largest."""
    rows = [layer.input_dim for layer in _tables(value) or _hidden_tables(model)]
    if rows:
        return 0, min(rows)
    if value.dtype in BYTE_RANGES:
        smallest, largest = BYTE_RANGES[value.dtype]
        return int(smallest), int(largest) + 1
    return 0, _FEW


def _tables(value):
    """Return the Embeddings that an input reaches without passing through another one."""
    tables, waiting, seen = [], [value], set()
    while waiting:
        for call in waiting.pop().consumers:
            if isinstance(call.operation, keras.layers.Embedding):
                tables.append(call.operation)
            elif call not in seen:
                seen.add(call)
                waiting += call.outputs
    return tables


def _hidden_tables(model):
    """Return the Embeddings inside layers that the graph does not look into."""
    called = {call.operation for call in trace(model).calls}
    layers = set(all_layers(model)) - called
    return [layer for layer in layers if isinstance(layer, keras.layers.Embedding)]
