"""Group normalization."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import Rule
from keras_compress.shrinking.propagation.layer_normalization import REASON
from keras_compress.shrinking.removal import Kept


class GroupNormalization(Rule):
    """GroupNormalization: whole groups go, so that the statistics of the others stay.

    With a single group it is a layer normalization.
    """

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind scale and shift; tie the channels of each group."""
        layer, (axes,) = call.operation, inputs
        ids = axes.get(layer.axis % len(call.output.shape))
        if layer.scale:
            channels.bind(layer, layer.gamma, 0, ids)
        if layer.center:
            channels.bind(layer, layer.beta, 0, ids)
        channels.bind(layer, "groups", 0, ids)
        if ids is not None and layer.groups == 1:
            channels.mark_inexact(ids, REASON.format(call.name))
        elif ids is not None:
            channels.tie_rows(ids.reshape(layer.groups, -1))
        return [axes]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of groups that is left."""
        if layer.groups == 1 or kept("groups", 0) is None:
            return {}
        return {"groups": layer.groups * kept("groups", 0) // kept.before("groups", 0)}
