"""The pattern of single weights."""

import dataclasses
import math

import numpy as np

from keras_compress.pruning.patterns.base import Pattern


@dataclasses.dataclass(frozen=True)
class Unstructured(Pattern):
    """Each weight by itself: the most zeros for the accuracy, anywhere in the tensor.

    It makes files smaller where they are compressed; time is won only on kernels that skip
    single zeros.

    Example:
        >>> scores = Unstructured().group(np.array([[1.0, 4.0], [3.0, 2.0]]), 0)[:, 0]
        >>> Unstructured().mask(scores, 0.5, (2, 2), 0)
        array([[False,  True],
               [ True, False]])
    """

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """Arrange weights in the groups that are pruned as one."""
        return weights.reshape(-1, 1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Spread what holds for groups over the weights in them."""
        return keep.reshape(shape)

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Count the weights in each group."""
        return np.ones(math.prod(shape), int)
