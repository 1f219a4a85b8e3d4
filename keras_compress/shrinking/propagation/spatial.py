"""Pooling, padding, cropping and resizing, which treat each channel separately."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    channel_axis,
    protect_others,
)


class Spatial(PropagationRule):
    """Pooling, padding, cropping, up-sampling and resizing: channels pass through."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Pass the channel axis on; protect channels along any other axis."""
        axis = channel_axis(call.operation, call.output)
        protect_others(call, inputs[0], axis, channels)
        return [{axis: inputs[0][axis]} if axis in inputs[0] else {}]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A constant plane stays constant; with zero padding only if it is zero."""
        values = inputs[0]
        if values is not None and operations.of(call.operation).form == "zero_padding":
            values = np.where(values == 0, 0.0, np.nan)
        return [values]
