"""Global pooling."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    channel_axis,
    protect_others,
)


class GlobalPooling(PropagationRule):
    """Global average and max pooling, with or without kept dimensions: channels pass through."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Move the channel axis to its place in the output."""
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
