"""Separable convolutions: a depthwise and a pointwise convolution in one layer."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.layers.base import positions
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    channel_axis,
    constant_filters,
    protect_mixed,
    protect_others,
)
from keras_compress.shrinking.removal import Kept


class SeparableConv(PropagationRule):
    """SeparableConv1D and 2D: the filters of the pointwise half are new channels."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind both kernels and the bias; make a channel for each filter."""
        layer, (axes,) = call.operation, inputs
        axis = channel_axis(layer, call.output)
        protect_others(call, axes, axis, channels)
        before, after = axes.get(axis), channels.new(layer.filters, call.name)
        between = None if before is None else np.repeat(before, layer.depth_multiplier)
        channels.bind(layer, layer.depthwise_kernel, -2, before)
        channels.bind(layer, layer.pointwise_kernel, -2, between)
        channels.bind(layer, layer.pointwise_kernel, -1, after)
        if layer.use_bias:
            channels.bind(layer, layer.bias, 0, after)
        size = layer.pointwise_kernel.shape[-2] if between is None else between
        places = positions(call.output.shape, axis)
        channels.count(call, places * math.prod(layer.kernel_size), size)
        channels.count(call, places, size, after)
        protect_mixed(call, layer.activation, after, channels)
        return [{axis: after}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of filters."""
        return {"filters": kept(layer.pointwise_kernel, -1)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The pointwise half sums over channels."""
        return ((call.inputs[0], call.operation.depthwise_kernel, -2),)

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A zero pointwise filter outputs its bias."""
        return [constant_filters(call.operation, call.operation.pointwise_kernel, -1)]
