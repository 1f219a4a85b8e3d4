"""Transposed convolutions."""

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


class TransposedConv(PropagationRule):
    """Conv1DTranspose, 2D and 3D: a convolution with the last two kernel axes swapped."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind kernel and bias; make a channel for each filter."""
        layer, (axes,) = call.operation, inputs
        axis = channel_axis(layer, call.output)
        protect_others(call, axes, axis, channels)
        before, after = axes.get(axis), channels.new(layer.filters, call.name)
        channels.bind(layer, layer.kernel, -1, before)
        channels.bind(layer, layer.kernel, -2, after)
        if layer.use_bias:
            channels.bind(layer, layer.bias, 0, after)
        channels.count(
            call,
            positions(call.inputs[0].shape, axis) * math.prod(layer.kernel_size),
            layer.kernel.shape[-1] if before is None else before,
            after,
        )
        protect_mixed(call, layer.activation, after, channels)
        return [{axis: after}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of filters."""
        return {"filters": kept(layer.kernel, -2)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The kernel sums over its last axis."""
        return ((call.inputs[0], call.operation.kernel, -1),)

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A zero filter outputs its bias."""
        return [constant_filters(call.operation, call.operation.kernel, -2)]
