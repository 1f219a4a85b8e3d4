"""Match arrays to a model's inputs by name, order or shape."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.structure import is_array, to_numpy
from keras_compress.errors import InvalidArgumentError, UnknownNameError


def arrange(
    x: Any, inputs: Sequence[InputSpec], order: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Return the arrays in the order of a model's inputs, and check that they match.

    Args:
        x: One array (samples, ...) for a model with one input; otherwise a dict from input name
            to array, or a list of arrays.
        inputs: `InputSpec` of each input.
        order: Name of the input that each array of a list is for; `None` to match by shape.

    Returns:
        List of arrays of numbers, one for each input.

    Raises:
        InvalidArgumentError: An array is missing, is not numeric, or has the wrong shape; lengths
            differ; or the shapes of a list do not determine its order.
        UnknownNameError: A key of the dict is not the name of an input.
    """
    if isinstance(x, Mapping):
        arrays = _by_key(x, inputs)
    elif len(inputs) == 1:
        arrays = [_only_input(x, inputs[0])]
    else:
        arrays = _in_order(_as_list(x, inputs), inputs, order)
    arrays = [
        numbers(array, f"Input {spec.name!r}") for array, spec in zip(arrays, inputs, strict=True)
    ]
    for array, spec in zip(arrays, inputs, strict=True):
        if not spec.is_batch(array.shape):
            raise wrong_shape(array.shape, spec)
    _check_lengths(arrays, inputs)
    return arrays


def by_name(
    arrays: Mapping[str, Any], names: Sequence[str], kind: str, partial: bool = False
) -> list:
    """List the arrays of a dict in the order of names.

    Args:
        arrays: Dict from name to array.
        names: The names, in order.
        kind: What the names are of, for error messages: `"input"` or `"output"`.
        partial: Whether arrays may be missing; a missing one is returned as `None`.

    Raises:
        InvalidArgumentError: An array is missing.
        UnknownNameError: A key is not one of the names.
    """
    for name in arrays:
        if name not in names:
            raise UnknownNameError(kind, name, names)
    missing = [name for name in names if name not in arrays]
    if missing and not partial:
        raise InvalidArgumentError(
            f"Each {kind} needs an array. Missing: {', '.join(map(repr, missing))}. "
            f"Received: {', '.join(map(repr, arrays))}."
        )
    return [arrays.get(name) for name in names]


def numbers(array: Any, what: str) -> np.ndarray:
    """Return a numpy array of numbers.

    Args:
        array: Array of any library, or nested lists.
        what: What the array is, for the error message.

    Raises:
        InvalidArgumentError: The value is not an array of numbers.
    """
    if isinstance(array, list | tuple) or is_array(array):
        try:
            array = to_numpy(array)
            # Float types that numpy does not have (bfloat16) appear as raw bytes.
            array = array.astype(np.float32) if array.dtype.kind == "V" else array
        except (InvalidArgumentError, TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"{what} must be an array of numbers. Received: {describe(array)} ({error})."
            ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise InvalidArgumentError(
            f"{what} must be an array of numbers. Received: {describe(array)}."
        )
    return array


def wrong_shape(shape: Sequence[int], spec: InputSpec, where: str = "") -> InvalidArgumentError:
    """Return the error for an array whose shape does not match an input.

    Args:
        shape: The shape.
        spec: `InputSpec` of the input.
        where: Where the array comes from, for the message.
    """
    sizes = ", ".join(["n_samples", *("any" if n is None else str(n) for n in spec.shape)])
    return InvalidArgumentError(
        f"Input {spec.name!r} takes samples of shape ({sizes}). "
        f"Received: an array of shape {tuple(shape)}{where}.{_shape_hint(tuple(shape), spec)}"
    )


def describe(value: Any) -> str:
    """Return a short description of a value, for error messages."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"an object of type {type(value).__name__}"


def _by_key(x, inputs):
    keys = [spec.key for spec in inputs]
    names = keys if set(x) == set(keys) else [spec.name for spec in inputs]
    return by_name(x, names, "input")


def _only_input(x, spec):
    # Keras also takes a single input as a list of one array with a batch dimension.
    if isinstance(x, list | tuple) and len(x) == 1 and np.ndim(x[0]) == len(spec.shape) + 1:
        return x[0]
    return x


def _as_list(x, inputs):
    if isinstance(x, list | tuple) and len(x) == len(inputs):
        return list(x)
    raise InvalidArgumentError(
        f"The model has {len(inputs)} inputs, so x must be a dict or a list with an array for "
        f"each of {', '.join(map(str, inputs))}. Received: {describe(x)}."
    )


def _in_order(arrays, inputs, order):
    names = [spec.name for spec in inputs]
    if order is not None and sorted(order) == sorted(names):
        return [arrays[order.index(name)] for name in names]
    shapes = [numbers(array, "Each entry of x").shape for array in arrays]
    matches = [[k for k, shape in enumerate(shapes) if spec.is_batch(shape)] for spec in inputs]
    if sorted(matches) == [[k] for k in range(len(arrays))]:
        return [arrays[position] for [position] in matches]
    why = "fit more than one input" if all(matches) else "do not fit the inputs"
    raise InvalidArgumentError(
        f"The shapes of the arrays in x {why}, so x must be a dict by name. "
        f"The inputs are {', '.join(map(str, inputs))}. "
        f"Received: arrays of shape {', '.join(str(list(shape)) for shape in shapes)}."
    )


def _shape_hint(shape, spec):
    sizes = tuple(-1 if size is None else size for size in spec.shape)
    if spec.is_sample(shape):
        return " A single sample needs a batch dimension: pass x[None]."
    if shape[1:2] == (1,) and spec.is_batch((shape[0], *shape[2:])):
        return " There is one dimension too many: pass x[:, 0]."
    if spec.is_batch((*shape, 1)):
        return " The last dimension is missing: pass x[..., None]."
    if len(shape) == 4 and spec.is_batch((shape[0], shape[2], shape[3], shape[1])):
        return " The channels must come last: pass x.transpose(0, 2, 3, 1)."
    if len(shape) > 1 and None not in spec.shape and math.prod(shape[1:]) == math.prod(sizes):
        return f" The number of values fits: pass x.reshape{(-1, *sizes)}."
    return ""


def _check_lengths(arrays, inputs):
    lengths = {spec.name: len(array) for spec, array in zip(inputs, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(
            f"All inputs must have the same number of samples. Received: {lengths}."
        )
    if not len(arrays[0]):
        raise InvalidArgumentError(
            f"The data must have at least one sample. Received: shape {arrays[0].shape} for input "
            f"{inputs[0].name!r}."
        )
