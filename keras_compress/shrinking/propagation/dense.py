"""Dense layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.layers.base import positions
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import (
    PropagationRule,
    activate,
    protect_mixed,
    rows_in_use,
)
from keras_compress.shrinking.removal import Kept


class Dense(PropagationRule):
    """Dense: the units are new channels on the last axis; the other axes pass through."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind kernel and bias; make a channel for each unit."""
        layer, (axes,) = call.operation, inputs
        axis = len(call.output.shape) - 1
        before, after = axes.get(axis), channels.new(layer.units, call.name)
        channels.bind(layer, layer.kernel, 0, before)
        channels.bind(layer, layer.kernel, 1, after)
        if layer.use_bias:
            channels.bind(layer, layer.bias, 0, after)
        size = layer.kernel.shape[0] if before is None else before
        channels.count(call, positions(call.output.shape, axis), size, after)
        protect_mixed(call, layer.activation, after, channels)
        return [{**axes, axis: after}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of units."""
        return {"units": kept(layer.kernel, 1)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The kernel sums over its rows."""
        return ((call.inputs[0], call.operation.kernel, 0),)

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A unit that reads only constant channels is constant."""
        layer, kernel = call.operation, keras.ops.convert_to_numpy(call.operation.kernel)
        if inputs[0] is None:
            result = np.where(rows_in_use(kernel, 1), np.nan, 0.0)
        else:
            varies = np.isnan(inputs[0])
            used = (kernel[varies] != 0).any(axis=0)
            result = np.where(used, np.nan, np.nan_to_num(inputs[0]) @ kernel)
        if layer.use_bias:
            result = result + keras.ops.convert_to_numpy(layer.bias)
        return [activate(layer.activation, result)]

    def contribution(
        self, layer: keras.Layer, values: np.ndarray, border: bool = True
    ) -> np.ndarray | None:
        """Multiply the constants by the kernel."""
        return values @ keras.ops.convert_to_numpy(layer.kernel)
