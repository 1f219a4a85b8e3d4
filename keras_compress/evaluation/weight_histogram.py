"""Histograms of weights that are comparable before and after conversion.

Conversion folds BatchNormalization into kernels and rescales each output channel, so raw weights
before and after cannot be compared. Divided by the largest magnitude of their channel they can: a
folded factor cancels except for its sign, and int8 weights become q / 127.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keras_compress.evaluation.weights import find_weights
from keras_compress.tflite.model import Model

if TYPE_CHECKING:  # A board has no Keras.
    import keras

# 51 bins of five int8 steps each: every integer from -127 to 127 lies inside one bin.
_STEPS = 127
_EDGES = np.arange(-127.5, 128, 5) / _STEPS
_KERAS_WEIGHTS = ("kernel", "embeddings")


@dataclasses.dataclass(frozen=True)
class WeightHistogram:
    """Counts of weights relative to the largest of their channel.

    Args:
        counts: Weights other than zero in each of 51 bins of equal width.
        zeros: Weights that are zero.
    """

    counts: tuple[int, ...]
    zeros: int

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(self.counts) + self.zeros

    @property
    def centers(self):
        """Middle of each bin, from -1 to 1."""
        return (_EDGES[1:] + _EDGES[:-1]) / 2


def file_histogram(model: Model) -> WeightHistogram | None:
    """Count the weights of a file.

    Args:
        model: A `flatbuffer.Model`.

    Returns:
        A `WeightHistogram`, or `None` if the file has no weights.
    """
    return _histogram(
        (_real(tensor), None if axis is None else (axis,))
        for _, _, tensor, axis in find_weights(model)
        if not tensor.is_sparse and (tensor.dtype.is_integer or tensor.dtype.numpy.kind == "f")
    )


def keras_histogram(model: "keras.Model") -> WeightHistogram | None:
    """Count the kernels and embeddings of a Keras model.

    Args:
        model: A Keras 3 model or one of `tf_keras`.

    Returns:
        A `WeightHistogram`, or `None` if the model has no such weights.
    """
    kernels = []
    for variable in model.weights:
        name = variable.name.split(":")[0].rsplit("/", 1)[-1]
        if name.endswith(_KERAS_WEIGHTS) and len(variable.shape) > 1:
            kernels.append((np.asarray(variable), _keras_axes(name, len(variable.shape))))
    return _histogram(kernels)


def _keras_axes(name, ndim):
    if name == "embeddings":
        return None
    return (ndim - 2, ndim - 1) if name == "depthwise_kernel" else (ndim - 1,)


def _real(tensor):
    """Return values proportional to the real ones within each channel."""
    values = tensor.data.astype(np.float32)
    if tensor.zero_points.any():
        shape = [1] * values.ndim
        shape[tensor.axis or 0] = -1
        values -= tensor.zero_points.reshape(shape).astype(np.float32)
    return values


def _histogram(weights):
    counts, zeros, size = np.zeros(len(_EDGES) - 1, np.int64), 0, 0
    for values, channel_axes in weights:
        relative: np.ndarray = np.asarray(values, np.float32)
        others = tuple(k for k in range(relative.ndim) if k not in (channel_axes or ()))
        largest = np.abs(relative).max(axis=others, keepdims=True, initial=0)
        relative = relative / np.where(largest > 0, largest, 1)
        nonzero = relative[relative != 0]
        counts += np.histogram(nonzero, _EDGES)[0]
        zeros += relative.size - nonzero.size
        size += relative.size
    return WeightHistogram(tuple(counts.tolist()), zeros) if size else None
