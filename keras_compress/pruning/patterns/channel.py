"""Prune whole output channels."""

import dataclasses
import math

import numpy as np

from keras_compress.pruning.patterns.base import Pattern


@dataclasses.dataclass(frozen=True)
class Channel(Pattern):
    """Whole output channels (filters), which can be removed to give a smaller dense network.

    At least one channel of each layer is kept.

    Source: Li et al., "Pruning filters for efficient convnets", 2017, arXiv:1608.08710.

    Example:
        >>> weights = np.array([[1.0, 1.0], [3.0, 2.0]])
        >>> Channel().mask(Channel().group(weights, 0).sum(axis=1), 0.5, (2, 2), 0)
        array([[False, False],
               [ True,  True]])
    """

    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """See `Pattern.group`."""
        return np.moveaxis(weights, channel_axis, 0).reshape(weights.shape[channel_axis], -1)

    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.ungroup`."""
        along_channels = [1] * len(shape)
        along_channels[channel_axis] = -1
        return np.broadcast_to(keep.reshape(along_channels), shape).copy()

    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """See `Pattern.group_sizes`."""
        channels = shape[channel_axis]
        return np.full(channels, math.prod(shape) // channels)
