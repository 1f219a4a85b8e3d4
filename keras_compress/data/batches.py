"""Calibration data as a stream of batches of a model's inputs."""

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError


def stream(data, batch_size):
    """Yield batches of inputs, one at a time, without a copy of the whole.

    Args:
        data: An array (n_samples, *shape), a list or dict of arrays (several inputs), a
            `keras.utils.PyDataset`, or an iterable (also a `tf.data.Dataset`) or generator
            function of batches, of which x is taken where they are pairs (x, y).
        batch_size: Samples in a batch that is cut from arrays.

    Returns:
        An iterator over arrays, or lists or dicts of arrays.

    Raises:
        InvalidArgumentError: No data, or arrays of unequal lengths.

    Example:
        >>> [batch.shape for batch in stream(np.zeros((5, 3)), 2)]
        [(2, 3), (2, 3), (1, 3)]
    """
    if data is None or isinstance(data, str | bytes | int | float):
        raise InvalidArgumentError(
            "Calibration data must be an array of samples as the model is fed in use, or an "
            f"iterable of batches. Received: {data!r}"
        )
    if _is_arrays(data):
        return _cut(data, batch_size)
    if isinstance(data, keras.utils.PyDataset):
        return (_inputs(data[index]) for index in range(len(data)))
    return map(_inputs, data() if callable(data) else data)


def as_inputs(model, batch):
    """Bring a batch into the input structure and the data types of a model.

    Args:
        model: A Sequential or functional `keras.Model`.
        batch: An array, or a list or dict of arrays, as `stream` yields.

    Returns:
        Tensors in the structure of `model.input`.

    Raises:
        InvalidArgumentError: Another number of inputs, or other shapes.
    """
    flat = keras.tree.flatten(batch)
    if isinstance(batch, dict):
        names = [tensor.name for tensor in model.inputs]
        if set(batch) == set(names):
            flat = [batch[name] for name in names]
    if len(flat) != len(model.inputs):
        raise InvalidArgumentError(
            f"The model has {len(model.inputs)} inputs. Received: batches of {len(flat)} arrays"
        )
    for array, tensor in zip(flat, model.inputs, strict=True):
        _check_shape(array, tensor)
    flat = [
        keras.ops.convert_to_tensor(array, tensor.dtype)
        for array, tensor in zip(flat, model.inputs, strict=True)
    ]
    # A Sequential that was never called as a layer has inputs, and no input.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.pack_sequence_as(structure, flat)


def _is_arrays(data):
    leaves = keras.tree.flatten(data) if isinstance(data, list | dict) else [data]
    return bool(leaves) and all(hasattr(leaf, "__array__") for leaf in leaves)


def _cut(data, batch_size):
    lengths = {len(array) for array in keras.tree.flatten(data)}
    if len(lengths) != 1:
        raise InvalidArgumentError(
            "All inputs must have one number of samples. Received lengths: "
            f"{', '.join(map(str, sorted(lengths)))}"
        )
    for start in range(0, lengths.pop(), batch_size):
        yield keras.tree.map_structure(
            lambda array, start=start: np.asarray(array[start : start + batch_size]), data
        )


def _inputs(item):
    if isinstance(item, tuple):
        item = item[0]
    return keras.tree.map_structure(np.asarray, item)


def _check_shape(array, tensor):
    wanted = tensor.shape[1:]
    fits = len(array.shape) == len(wanted) + 1 and all(
        size is None or size == found for size, found in zip(wanted, array.shape[1:], strict=True)
    )
    if not fits:
        raise InvalidArgumentError(
            f"Samples of input {tensor.name!r} have the shape {tuple(wanted)}, after the batch "
            f"dimension. Received: a batch of shape {tuple(array.shape)}"
        )
