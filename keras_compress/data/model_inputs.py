"""The inputs of a Keras model, and batches in their structure."""

from typing import Any

import keras

from keras_compress.data.arrangement import arrange
from keras_compress.data.input_spec import InputSpec


def input_specs(model: keras.Model) -> tuple[InputSpec, ...]:
    """Return the name, shape and type of a model's inputs.

    Args:
        model: A built Sequential or functional `keras.Model`.

    Returns:
        Tuple with an `InputSpec` for each of `model.inputs`.

    Example:
        >>> model = keras.Sequential([keras.Input((8,), name="x"), keras.layers.Dense(4)])
        >>> [str(spec) for spec in input_specs(model)]
        ["'x' (samples of shape [8])"]
    """
    structure = _structure(model)
    keys = sorted(structure) if isinstance(structure, dict) else [None] * len(model.inputs)
    return tuple(
        InputSpec(tensor.name, tuple(tensor.shape[1:]), tensor.dtype, key=key)
        for tensor, key in zip(model.inputs, keys, strict=True)
    )


def as_inputs(model: keras.Model, x: Any) -> Any:
    """Convert a batch to the input structure and the data types of a model.

    Args:
        model: A built Sequential or functional `keras.Model`.
        x: A batch: an array, or a list or dict of arrays.

    Returns:
        Tensors in the structure of `model.input`.

    Raises:
        InvalidArgumentError: The number of inputs or a shape is wrong.
        UnknownNameError: A key of the dict is not the name of an input.
    """
    specs = input_specs(model)
    arrays = arrange(x, specs, [spec.name for spec in specs])
    tensors = [
        keras.ops.convert_to_tensor(array, spec.dtype)
        for array, spec in zip(arrays, specs, strict=True)
    ]
    return keras.tree.pack_sequence_as(_structure(model), tensors)


def _structure(model):
    # A Sequential that was never called as a layer has `inputs` but no `input`.
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input
