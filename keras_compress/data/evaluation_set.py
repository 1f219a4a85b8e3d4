"""The evaluation set: what a user hands in, brought into a file's order and checked."""

import re
from collections.abc import Mapping

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError


def arrange_inputs(x, inputs, order=None):
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
    if isinstance(x, Mapping):
        arrays = _by_name(x, [tensor.name for tensor in inputs], "input")
    elif len(inputs) == 1:
        arrays = [_only_input(x, inputs[0])]
    else:
        arrays = _in_order(_as_list(x, inputs), inputs, order)
    arrays = [_numbers(array, f"Input {t.name!r}") for array, t in zip(arrays, inputs, strict=True)]
    for array, tensor in zip(arrays, inputs, strict=True):
        _check_shape(array, tensor)
    _check_lengths(arrays, inputs)
    return [_whole(array, tensor) for array, tensor in zip(arrays, inputs, strict=True)]


def arrange_targets(y, outputs, samples):
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
        targets = _by_name(y, outputs, "output", partial=True)
    elif len(outputs) == 1:
        targets = [y[0] if isinstance(y, list | tuple) and len(y) == 1 and np.ndim(y[0]) else y]
    elif isinstance(y, list | tuple) and len(y) == len(outputs):
        targets = list(y)
    else:
        raise InvalidArgumentError(
            f"The model has {len(outputs)} outputs, so y must be a dict or a list with an array "
            f"for each of {', '.join(map(repr, outputs))}. Received: {_describe(y)}."
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


def _by_name(arrays, names, kind, partial=False):
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


def _only_input(x, tensor):
    # A list of one array that has a batch dimension already is how Keras takes one input.
    if isinstance(x, list | tuple) and len(x) == 1 and np.ndim(x[0]) == len(tensor.shape):
        return x[0]
    return x


def _as_list(x, inputs):
    if isinstance(x, list | tuple) and len(x) == len(inputs):
        return list(x)
    raise InvalidArgumentError(
        f"The file has {len(inputs)} inputs, so x must be a dict or a list with an array for "
        f"each of {', '.join(map(str, inputs))}. Received: {_describe(x)}."
    )


def _in_order(arrays, inputs, order):
    names = [tensor.name for tensor in inputs]
    if order is not None and sorted(order) == sorted(names):
        return [arrays[order.index(name)] for name in names]
    shapes = [_numbers(array, "Each entry of x").shape for array in arrays]
    fitting = [[k for k, shape in enumerate(shapes) if _fits(shape, t)] for t in inputs]
    if sorted(fitting) == [[k] for k in range(len(arrays))]:
        return [arrays[place] for [place] in fitting]
    why = "fit more than one input" if all(fitting) else "do not fit the inputs"
    raise InvalidArgumentError(
        f"The shapes of the arrays in x {why}, so x must be a dict by name. "
        f"The inputs are {', '.join(map(str, inputs))}. "
        f"Received: arrays of shape {', '.join(str(list(shape)) for shape in shapes)}."
    )


def _fits(shape, tensor):
    return len(shape) == len(tensor.shape) and all(
        wanted in (-1, size) for wanted, size in zip(tensor.signature[1:], shape[1:], strict=True)
    )


def _numbers(array, what):
    if isinstance(array, list | tuple) or hasattr(array, "__array__"):
        try:
            array = np.asarray(array)
        except (ValueError, TypeError) as error:
            raise InvalidArgumentError(
                f"{what} must be an array of numbers. Received: {_describe(array)} ({error})."
            ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise InvalidArgumentError(
            f"{what} must be an array of numbers. Received: {_describe(array)}."
        )
    return array


def _check_shape(array, tensor):
    if _fits(array.shape, tensor):
        return
    wanted = ", ".join(["samples", *("any" if n < 0 else str(n) for n in tensor.signature[1:])])
    raise InvalidArgumentError(
        f"Input {tensor.name!r} must have the shape ({wanted}). "
        f"Received: shape {tuple(array.shape)}.{_shape_hint(array, tensor)}"
    )


def _shape_hint(array, tensor):
    if _fits((1, *array.shape), tensor):
        return " A single sample needs a batch dimension: pass x[None]."
    if _fits((*array.shape, 1), tensor):
        return " The last dimension is missing: pass x[..., None]."
    if array.ndim == 4 and _fits(np.transpose(array, (0, 2, 3, 1)).shape, tensor):
        return " The channels must come last: pass x.transpose(0, 2, 3, 1)."
    return ""


def _check_lengths(arrays, inputs):
    lengths = {tensor.name: len(array) for tensor, array in zip(inputs, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(
            f"All inputs must have the same number of samples. Received: {lengths}."
        )
    if not arrays[0].shape[0]:
        raise InvalidArgumentError(
            "The evaluation set must hold at least one sample. "
            f"Received: shape {tuple(arrays[0].shape)}."
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
    target = _numbers(target, f"The targets of output {name!r}")
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


def _describe(value):
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of length {len(value)}"
    return f"an object of type {type(value).__name__}"
