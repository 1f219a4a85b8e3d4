"""Batch normalization."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule


class BatchNormalization(PropagationRule):
    """BatchNormalization: each channel has its own statistics, scale and shift."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the four weights."""
        layer, (axes,) = call.operation, inputs
        ids = axes.get(layer.axis % len(call.output.shape))
        for weight in _weights(layer):
            channels.bind(layer, weight, 0, ids)
        return [axes]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A constant channel stays constant; a scale of zero makes any channel constant."""
        layer = call.operation
        mean, variance = (
            keras.ops.convert_to_numpy(layer.moving_mean),
            keras.ops.convert_to_numpy(layer.moving_variance),
        )
        scale = 1 / np.sqrt(variance + layer.epsilon)
        if layer.scale:
            scale = scale * keras.ops.convert_to_numpy(layer.gamma)
        values = np.full_like(mean, np.nan) if inputs[0] is None else inputs[0]
        if len(values) != len(scale):
            return [None]
        result = np.where(scale == 0, 0.0, (values - mean) * scale)
        return [result + keras.ops.convert_to_numpy(layer.beta) if layer.center else result]


def _weights(layer):
    scale = [layer.gamma] if layer.scale else []
    center = [layer.beta] if layer.center else []
    return [*scale, *center, layer.moving_mean, layer.moving_variance]
