"""Global pooling."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    Rule,
    channel_axis,
    protect_others,
)


class GlobalPooling(Rule):
    """Global average and max pooling, with or without kept dimensions: channels pass."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Move the axis of channels to where the output has it."""
        layer, axes = call.operation, inputs[0]
        before = channel_axis(layer, call.inputs[0])
        protect_others(call, axes, before, channels)
        after = before if layer.keepdims else 1
        return [{after: axes[before]} if before in axes else {}]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A constant plane pools to its constant."""
        return list(inputs)
