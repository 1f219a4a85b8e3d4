"""Prune individual weights."""

import dataclasses
import math

import numpy as np

from keras_compress.pruning.patterns.base import Pattern


@dataclasses.dataclass(frozen=True)
class Unstructured(Pattern):
    """Individual weights anywhere in the tensor: the most zeros for a given accuracy.

    Compressed files become smaller. Inference becomes faster only on kernels that skip individual
    zeros.

    Example:
        >>> scores = Unstructured().group(np.array([[1.0, 4.0], [3.0, 2.0]]), 0)[:, 0]
        >>> Unstructured().mask(scores, 0.5, (2, 2), 0)
        array([[False,  True],
               [ True, False]])
    """

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """See `Pattern.group`."""
        return weights.reshape(-1, 1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.ungroup`."""
        return keep.reshape(shape)

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.group_sizes`."""
        return np.ones(math.prod(shape), int)
