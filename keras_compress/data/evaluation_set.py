"""The evaluation set: the user's data in the order of a file's inputs and outputs, checked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.data.arrangement import arrange, by_name, describe, numbers
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.errors import InvalidArgumentError


def read_samples(x: Any, y: Any, inputs: Sequence[Any]) -> tuple[Any, Any]:
    """Read the samples to evaluate, and their targets if x includes them.

    Args:
        x: Inputs, or inputs and targets, in any form that `reading.read` accepts.
        y: The targets, or `None` if x includes them or there are none.
        inputs: The file's inputs, `TensorDetails`.

    Returns:
        Tuple (x, y): x an array, or a list or dict of arrays.

    Raises:
        InvalidArgumentError: The data cannot be read or are infinite, or targets are given twice.
    """
    samples, targets = read(x, _specs(inputs)).whole()
    if y is not None and targets is not None:
        raise InvalidArgumentError(
            "Targets must be given once: leave out y, or pass x without targets. Received: x of "
            f"type {type(x).__name__} with targets in it, and y"
        )
    return samples, targets if y is None else y


def arrange_inputs(
    x: Any, inputs: Sequence[Any], order: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Return input data in the order of a file's inputs.

    Args:
        x: One array (samples, ...) for a file with one input; otherwise a dict from input name to
            array, or a list of arrays.
        inputs: The file's inputs, `TensorDetails`.
        order: Name of the input that each array of a list is for, if known (a Keras model's input
            names); `None` to match by shape.

    Returns:
        List of arrays, one per input, all with the same number of samples.

    Raises:
        InvalidArgumentError: An array is missing, is empty or not numeric, or has the wrong
            shape; or the shapes of a list do not determine its order.
        UnknownNameError: A key of the dict is not the name of an input.
    """
    arrays = arrange(x, _specs(inputs), order)
    return [_whole(array, tensor) for array, tensor in zip(arrays, inputs, strict=True)]


def arrange_targets(y: Any, outputs: Sequence[Any], samples: int) -> list[np.ndarray | None]:
    """Return targets in the order of a model's outputs.

    Args:
        y: One array for a model with one output; otherwise a dict from output name to array, or a
            list of arrays in the order of `outputs`. `None` for no targets.
        outputs: Names of the outputs.
        samples: Number of samples.

    Returns:
        List with an array or `None` for each output.

    Raises:
        InvalidArgumentError: The length of an array is not the number of samples, an array
            contains NaN or is not numeric, or there are more arrays than outputs.
        UnknownNameError: A key of the dict is not the name of an output.
    """
    if y is None:
        return [None] * len(outputs)
    if isinstance(y, Mapping):
        targets = by_name(y, outputs, "output", partial=True)
    elif len(outputs) == 1:
        targets = [y[0] if isinstance(y, list | tuple) and len(y) == 1 and np.ndim(y[0]) else y]
    elif isinstance(y, list | tuple) and len(y) == len(outputs):
        targets = list(y)
    else:
        raise InvalidArgumentError(
            f"The model has {len(outputs)} outputs, so y must be a dict or a list with an array "
            f"for each of {', '.join(map(repr, outputs))}. Received: {describe(y)}."
        )
    return [
        None if target is None else _target(target, name, samples)
        for target, name in zip(targets, outputs, strict=True)
    ]


def natural_order(names):
    """Return the positions of names in natural sort order: `out_2` before `out_10`.

    Args:
        names: Strings.

    Returns:
        List of positions.

    Example:
        >>> natural_order(["output_10", "output_9"])
        [1, 0]
    """

    def key(position):
        return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", names[position])]

    return sorted(range(len(names)), key=key)


def _specs(inputs):
    return tuple(
        InputSpec(
            tensor.name,
            tuple(None if size < 0 else size for size in tensor.signature[1:]),
            str(tensor.dtype),
        )
        for tensor in inputs
    )


def _whole(array, tensor):
    """Cast the values of an unquantized integer input, such as token ids."""
    if tensor.is_quantized or tensor.dtype.kind not in "iu" or array.dtype == tensor.dtype:
        return array
    cast = array.astype(tensor.dtype)
    if not np.array_equal(cast, array):
        raise InvalidArgumentError(
            f"Input {tensor.name!r} takes whole numbers ({tensor.dtype}). "
            f"Received: {array.dtype} values from {array.min()} to {array.max()}."
        )
    return cast


def _target(target, name, samples):
    target = numbers(target, f"The targets of output {name!r}")
    if target.ndim == 0 or len(target) != samples:
        raise InvalidArgumentError(
            f"y must have one entry per sample. Received: targets of shape "
            f"{tuple(target.shape)} for {samples:,} samples (output {name!r})."
        )
    if target.dtype.kind == "f" and not np.isfinite(target).all():
        first = np.argwhere(~np.isfinite(target))[0].tolist()
        raise InvalidArgumentError(
            f"Targets must be finite numbers. Received: {target[tuple(first)]} at index {first} "
            f"of y (output {name!r})."
        )
    return target
