"""Layer normalization, whose statistics are taken over the channels."""

from collections.abc import Sequence

import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule

REASON = "{} takes its statistics over these channels, so removing some changes the others"


class LayerNormalization(PropagationRule):
    """LayerNormalization and RMSNormalization: channels pass through, but depend on each other."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind scale and shift; mark the channels that share statistics."""
        layer, (axes,) = call.operation, inputs
        normalized = [axis % len(call.output.shape) for axis in np.atleast_1d(layer.axis)]
        for place, axis in enumerate(normalized):
            ids = axes.get(axis)
            channels.mark_inexact(ids, REASON.format(call.name))
            for name in ("gamma", "beta", "scale"):
                weight = getattr(layer, name, None)
                if hasattr(weight, "shape"):
                    channels.bind(layer, weight, place, ids)
        return [axes]
