"""Data as batches, from arrays or from anything that yields batches."""

import itertools

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError


class Batches:
    """Iterates over `(x, y)` batches, again and again the same ones.

    Args:
        data: `(x, y)` arrays (each may be a list or dict of arrays), an array `x` alone, or an
            iterable that yields `(x, y)` batches, such as a `tf.data.Dataset`.
        batch_size: Samples in a batch cut from arrays.
        limit: At most so many batches of an iterable are used.

    Raises:
        InvalidArgumentError: Arrays of unequal lengths, or an iterable that yields nothing.

    Example:
        >>> [x.shape for x, y in Batches((np.zeros((5, 3)), np.zeros(5)), batch_size=2)]
        [(2, 3), (2, 3), (1, 3)]
    """

    def __init__(self, data, batch_size=64, limit=64):
        if isinstance(data, tuple | np.ndarray | dict):
            x, y = data if isinstance(data, tuple) else (data, None)
            self._batches = _cut(x, y, batch_size)
        else:
            pairs = (item if isinstance(item, tuple) else (item, None) for item in data)
            self._batches = [pair[:2] for pair in itertools.islice(pairs, limit)]
        if not self._batches:
            raise InvalidArgumentError("The data must hold at least one sample. Received: none")

    def __iter__(self):
        return iter(self._batches)

    def __len__(self):
        return len(self._batches)


def _cut(x, y, batch_size):
    lengths = {len(array) for array in keras.tree.flatten((x, y)) if array is not None}
    if len(lengths) != 1:
        raise InvalidArgumentError(
            "All arrays of data=(x, y) must have one length. Received lengths: "
            f"{', '.join(map(str, sorted(lengths)))}"
        )
    (length,) = lengths
    return [
        keras.tree.map_structure(
            lambda array, start=start: None if array is None else array[start : start + batch_size],
            (x, y),
        )
        for start in range(0, length, batch_size)
    ]
