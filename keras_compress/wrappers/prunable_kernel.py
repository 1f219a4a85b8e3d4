"""The prunable kernels of a model, wrapped or plain, in one shape for whoever makes masks."""

import dataclasses
from typing import Any

import numpy as np

from keras_compress.layers.base import Kernel, find


@dataclasses.dataclass(frozen=True)
class PrunableKernel:
    """A kernel that pruning may act on.

    Args:
        layer_name: Name of its layer.
        kernel: Its `Kernel` description.
        variable: Its Keras variable.
        mask: The variable of its mask, of the same shape, ones and zeros; `None` on a plain
            layer.
    """

    layer_name: str
    kernel: Kernel
    variable: Any
    mask: Any = None

    @property
    def channel_axis(self):
        """Axis of the output channels in the deployed layout."""
        return self.kernel.deployed_channel_axis

    def deployed_weights(self):
        """Return the weights, unmasked, as a NumPy array in the deployed layout."""
        return self.kernel.to_deployed(np.asarray(self.variable))

    def to_keras(self, mask):
        """Bring a mask of the deployed layout into the Keras variable's shape and dtype.

        Args:
            mask: Boolean array in the deployed layout; true keeps.

        Returns:
            Array of ones and zeros.
        """
        shape = tuple(self.variable.shape)
        return np.asarray(self.kernel.from_deployed(mask, shape), self.variable.dtype)


def prunable_kernels(layer, every=False):
    """List the prunable kernels of a plain Keras layer.

    Args:
        layer: A built layer.
        every: Also those that are left alone unless their layer is named (depthwise).

    Returns:
        List of `PrunableKernel` without masks; empty for a type that is not known.
    """
    layer_type = find(layer)
    if layer_type is None:
        return []
    return [
        PrunableKernel(layer.name, kernel, getattr(layer, kernel.attribute))
        for kernel in layer_type.kernels(layer)
        if kernel.prunable or every
    ]
