"""The pattern of whole output channels."""

import dataclasses
import math

import numpy as np

from keras_compress.pruning.patterns.base import Pattern


@dataclasses.dataclass(frozen=True)
class Channel(Pattern):
    """Whole output channels (filters): the zeros that a smaller dense network can drop.

    At least one channel of a layer always stays.

    Source: Li et al., "Pruning filters for efficient convnets", 2017, arXiv:1608.08710.

    Example:
        >>> weights = np.array([[1.0, 1.0], [3.0, 2.0]])
        >>> Channel().mask(Channel().group(weights, 0).sum(axis=1), 0.5, (2, 2), 0)
        array([[False, False],
               [ True,  True]])
    """

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """Arrange weights in the groups that are pruned as one."""
        return np.moveaxis(weights, channel_axis, 0).reshape(weights.shape[channel_axis], -1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Spread what holds for groups over the weights in them."""
        spread = [1] * len(shape)
        spread[channel_axis] = -1
        return np.broadcast_to(keep.reshape(spread), shape).copy()

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Count the weights in each group."""
        channels = shape[channel_axis]
        return np.full(channels, math.prod(shape) // channels)
