"""Depthwise convolutions, with any depth multiplier."""

import math
from collections.abc import Sequence

import keras
import numpy as np

from keras_compress.graph.graph import Call
from keras_compress.layers.base import positions
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    activate,
    channel_axis,
    protect_mixed,
    protect_others,
)


class DepthwiseConv(PropagationRule):
    """DepthwiseConv1D and 2D: each input channel gives `depth_multiplier` channels of its own."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Repeat each input channel; bind kernel and bias."""
        layer, (axes,) = call.operation, inputs
        axis = channel_axis(layer, call.output)
        protect_others(call, axes, axis, channels)
        before = axes.get(axis)
        after = None if before is None else np.repeat(before, layer.depth_multiplier)
        channels.bind(layer, layer.kernel, -2, before)
        if layer.use_bias:
            channels.bind(layer, layer.bias, 0, after)
        size = call.output.shape[axis] if after is None else after
        channels.count(
            call, positions(call.output.shape, axis) * math.prod(layer.kernel_size), size
        )
        protect_mixed(call, layer.activation, after, channels)
        return [{} if after is None else {axis: after}]

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A zero filter or a zero channel outputs the bias."""
        layer = call.operation
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        kernel = kernel.reshape(-1, kernel.shape[-2] * kernel.shape[-1])
        result = np.where(np.any(kernel != 0, axis=0), np.nan, 0.0)
        if inputs[0] is not None:
            values = np.repeat(inputs[0], layer.depth_multiplier)
            result = np.where(values == 0, 0.0, result)
            if layer.padding == "valid":
                result = np.where(np.isnan(values), result, values * kernel.sum(axis=0))
        if layer.use_bias:
            result = result + keras.ops.convert_to_numpy(layer.bias)
        return [activate(layer.activation, result)]
