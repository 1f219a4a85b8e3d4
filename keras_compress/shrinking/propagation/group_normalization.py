"""Group normalization."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.propagation.layer_normalization import REASON
from keras_compress.shrinking.removal import Kept


class GroupNormalization(PropagationRule):
    """GroupNormalization: whole groups are removed, so that the statistics of others don't change.

    With a single group it is treated as a layer normalization.
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
        """Set the number of groups that are left."""
        if layer.groups == 1 or kept("groups", 0) is None:
            return {}
        return {"groups": layer.groups * kept("groups", 0) // kept.before("groups", 0)}
