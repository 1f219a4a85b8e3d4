"""One description of prunable kernels, for wrapped and plain layers alike."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_compress.layers.base import Kernel, find


@dataclasses.dataclass(frozen=True)
class PrunableKernel:
    """A kernel that pruning may act on.

    Args:
        layer_name: Name of its layer.
        kernel: Its `Kernel` description.
        variable: Its Keras variable.
        mask: The variable of its mask, ones and zeros of the same shape; `None` for a plain layer.
    """

    layer_name: str
    kernel: Kernel
    variable: Any
    mask: Any = None

    @property
    def channel_axis(self):
        """The axis of the output channels in the deployed layout."""
        return self.kernel.deployed_channel_axis

    def deployed_weights(self):
        """Return the weights, unmasked, as a NumPy array in the deployed layout."""
        return self.kernel.to_deployed(keras.ops.convert_to_numpy(self.variable))

    def to_keras(self, mask):
        """Convert a mask from the deployed layout to the shape and dtype of the Keras variable.

        Args:
            mask: Boolean array in the deployed layout, true where the weight is kept.

        Returns:
            Array of ones and zeros.
        """
        shape = tuple(self.variable.shape)
        return np.asarray(self.kernel.from_deployed(mask, shape), self.variable.dtype)


def prunable_kernels(layer, every=False):
    """List the prunable kernels of a plain Keras layer.

    Args:
        layer: A built layer.
        every: Whether to include kernels that are pruned only on request (depthwise).

    Returns:
        List of `PrunableKernel` without masks; empty for a layer of an unsupported type.
    """
    layer_type = find(layer)
    if layer_type is None:
        return []
    return [
        PrunableKernel(layer.name, kernel, kernel.variable(layer))
        for kernel in layer_type.kernels(layer)
        if kernel.prunable or every
    ]
