"""The evaluation set: what a user hands in, brought into a file's order and checked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.data.arrangement import arrange, by_name, describe, numbers
from keras_compress.data.input_spec import InputSpec
from keras_compress.data.reading import read
from keras_compress.errors import InvalidArgumentError


def read_samples(x: Any, y: Any, inputs: Sequence[Any]) -> tuple[Any, Any]:
    """Read the samples to evaluate, and their targets where they come with them.

    Args:
        x: Inputs, or inputs and targets, in any form that `reading.read` takes.
        y: The targets, or `None` where x holds them or there are none.
        inputs: The file's inputs, `TensorDetails`.

    Returns:
        Tuple (x, y): x an array, or a list or dict of arrays.

    Raises:
        InvalidArgumentError: Data that cannot be read or have no end, or targets twice.
    """
    samples, targets = read(x, _specs(inputs)).whole()
    if y is not None and targets is not None:
        raise InvalidArgumentError(
            "Targets must be given once: leave out y, or give inputs alone as x. Received: x of "
            f"type {type(x).__name__} with targets in it, and y"
        )
    return samples, targets if y is None else y


def arrange_inputs(
    x: Any, inputs: Sequence[Any], order: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Bring input data into the order of a file's inputs.

    Args:
        x: One array (samples, ...) for a file with one input; else a dict from input name to
            array, or a list of arrays.
        inputs: The file's inputs, `TensorDetails`.
        order: Names that say which input each array of a list is for, where they are known
            (a Keras model's input names); without them, the shapes must tell.

    Returns:
        List of arrays, one per input, all with the same number of samples.

    Raises:
        InvalidArgumentError: An array is missing, empty, no array of numbers, or of a shape
            that does not fit; or the shapes of a list leave its order open.
        UnknownNameError: A key of the dict is no input's name.
    """
    arrays = arrange(x, _specs(inputs), order)
    return [_whole(array, tensor) for array, tensor in zip(arrays, inputs, strict=True)]


def arrange_targets(y: Any, outputs: Sequence[Any], samples: int) -> list[np.ndarray | None]:
    """Bring targets into the order of a model's outputs.

    Args:
        y: One array for a model with one output; else a dict from output name to array, or a
            list of arrays in the order of `outputs`. `None` for no targets.
        outputs: Names of the outputs.
        samples: How many samples there are.

    Returns:
        List with an array or `None` for each output.

    Raises:
        InvalidArgumentError: An array has another length than there are samples, holds NaN or
            no numbers, or there are more arrays than outputs.
        UnknownNameError: A key of the dict is no output's name.
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
    """Return the positions of names sorted as a person would: `out_2` before `out_10`.

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
    """Cast what goes into an unquantized integer input, such as token numbers."""
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
