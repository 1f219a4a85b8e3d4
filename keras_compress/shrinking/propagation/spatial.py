"""Pooling, padding, cropping and resizing: work on positions, channel by channel."""

import numpy as np

from keras_compress.layers import operations
from keras_compress.shrinking.propagation.base import (
    Rule,
    channel_axis,
    protect_others,
)


class Spatial(Rule):
    """Pooling, padding, cropping, up-sampling and resizing: channels pass."""

    def propagate(self, call, inputs, channels):
        """Pass the axis of channels, protect channels along any other."""
        axis = channel_axis(call.operation, call.output)
        protect_others(call, inputs[0], axis, channels)
        return [{axis: inputs[0][axis]} if axis in inputs[0] else {}]

    def constants(self, call, inputs, axes):
        """A constant plane stays one; padded with zeros only zeros do."""
        values = inputs[0]
        if values is not None and operations.of(call.operation).form == "zero_padding":
            values = np.where(values == 0, 0.0, np.nan)
        return [values]
