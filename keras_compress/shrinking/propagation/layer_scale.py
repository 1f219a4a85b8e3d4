"""The layer of ConvNeXt that scales each channel."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.removal import Kept


class LayerScale(PropagationRule):
    """LayerScale: one factor for each channel of the last axis."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the factors."""
        layer, axes = call.operation, inputs[0]
        channels.bind(layer, layer.gamma, 0, axes.get(len(call.output.shape) - 1))
        return [axes]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the size of the factors."""
        return {"projection_dim": kept(layer.gamma, 0)}

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A factor of zero makes a channel zero; a constant channel is scaled."""
        gamma = keras.ops.convert_to_numpy(call.operation.gamma)
        values = np.full_like(gamma, np.nan) if inputs[0] is None else inputs[0]
        return [np.where(gamma == 0, 0.0, values * gamma) if len(values) == len(gamma) else None]
