"""Average pooling followed by a ReLU, as a depthwise convolution."""

from collections.abc import Callable

import keras
import numpy as np

from keras_compress.converters.rewrites.base import (
    Rewrite,
    Rewritten,
    forbids_fusing,
    is_relu,
    part,
)
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call


class AveragePoolRelu(Rewrite):
    """An AveragePooling2D followed by a ReLU as a depthwise convolution with equal weights.

    The converter fuses the ReLU into AVERAGE_POOL_2D, and the two cannot be swapped. A depthwise
    convolution whose weights are all 1/n computes the mean of n pixels, and the ReLU can be fused
    into it. Pooling with windows that overlap the border is not rewritten, as they average fewer
    pixels.
    """

    layers = (keras.layers.AveragePooling2D,)

    def is_needed(self, profile: Profile) -> bool:
        """Return whether AVERAGE_POOL_2D must not have a fused activation."""
        return forbids_fusing(profile, "AVERAGE_POOL_2D")

    def replacement(self, call: Call) -> Callable | None:
        """Return a convolution in place of the pooling, if a ReLU follows."""
        layer = call.operation
        if not _is_convertible(call):
            return None
        readers = call.output.consumers
        followed = len(readers) == 1 and is_relu(readers[0].operation)
        if not followed or layer.data_format != "channels_last":
            return None
        mean = keras.layers.DepthwiseConv2D(layer.pool_size, layer.strides, use_bias=False)
        channels = call.inputs[0].shape[-1]
        weights = np.full((*layer.pool_size, channels, 1), 1 / np.prod(layer.pool_size), "float32")
        mean = part(mean, call.inputs[0].shape, [weights])
        return Rewritten(mean, [mean], name=call.name)


def _is_convertible(call):
    """Return whether no window overlaps the border, and strides are equal, as in convolutions."""
    layer = call.operation
    if layer.strides[0] != layer.strides[1]:
        return False
    if layer.padding == "valid":
        return True
    sizes = zip(call.inputs[0].shape[1:3], layer.pool_size, layer.strides, strict=True)
    return all((-(-size // step) - 1) * step + pool <= size for size, pool, step in sizes)
