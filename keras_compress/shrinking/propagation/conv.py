"""Ordinary and grouped convolutions."""

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
    activate,
    channel_axis,
    protect_mixed,
    protect_others,
    rows_in_use,
)
from keras_compress.shrinking.removal import Kept


class Conv(PropagationRule):
    """Conv1D, 2D and 3D: the filters are new channels, the kernel's rows follow the input.

    The groups of a grouped convolution must stay equal in size. If there are many groups, whole
    groups are removed, outputs together with inputs. If there are few, the channels at the same
    place in each group are tied, and inputs and outputs remain independent.
    """

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind kernel and bias; make a channel for each filter."""
        layer, (axes,) = call.operation, inputs
        axis = channel_axis(layer, call.output)
        protect_others(call, axes, axis, channels)
        before = axes.get(axis)
        after = channels.new(layer.filters, call.name)
        rows = before
        if layer.groups > 1:
            rows, after = _couple(layer, before, after, channels)
        channels.bind(layer, layer.kernel, -2, rows)
        channels.bind(layer, layer.kernel, -1, after)
        if layer.use_bias:
            channels.bind(layer, layer.bias, 0, after)
        size = layer.kernel.shape[-2] if rows is None else rows
        taps = math.prod(layer.kernel_size)
        channels.count(call, positions(call.output.shape, axis) * taps, size, after)
        protect_mixed(call, layer.activation, after, channels)
        return [{axis: after}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of filters, and of groups if whole groups were removed."""
        filters = kept(layer.kernel, -1)
        if layer.groups > 1 and _by_groups(layer):
            return {"filters": filters, "groups": filters * layer.groups // layer.filters}
        return {"filters": filters}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The kernel sums over its rows, unless each group is removed with its inputs."""
        layer = call.operation
        alone = layer.groups > 1 and _by_groups(layer)
        return () if alone else ((call.inputs[0], layer.kernel, -2),)

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A filter that reads only constant channels is constant."""
        layer = call.operation
        values = inputs[0]
        columns = rows_in_use(layer.kernel, len(layer.kernel.shape) - 1)
        result = np.where(columns, np.nan, 0.0)
        if values is not None and layer.groups == 1:
            result = _of_constants(self, layer, values)
        if layer.use_bias:
            result = result + keras.ops.convert_to_numpy(layer.bias)
        return [activate(layer.activation, result)]

    def contribution(
        self, layer: keras.Layer, values: np.ndarray, border: bool = True
    ) -> np.ndarray | None:
        """Sum over the window. With zero padding the border differs."""
        padded = layer.padding != "valid" and max(layer.kernel_size) > 1
        if layer.groups > 1 or (border and padded):
            return None
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        return values @ kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)


def _of_constants(rule, layer, values):
    varies = np.isnan(values)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    kernel = np.abs(kernel).reshape(-1, *kernel.shape[-2:]).max(axis=0)
    added = rule.contribution(layer, np.nan_to_num(values))
    if added is None:
        varies = varies | (values != 0)
        added = np.zeros(kernel.shape[-1])
    return np.where(kernel[varies].any(axis=0), np.nan, added)


def _by_groups(layer):
    return layer.groups >= layer.kernel.shape[-2] or layer.groups >= 16


def _couple(layer, before, after, channels):
    """Return the ids of the kernel's rows and of the outputs, tied as the groups require."""
    outputs = after.reshape(layer.groups, -1)
    inputs = None if before is None else before.reshape(layer.groups, -1)
    if _by_groups(layer):
        channels.tie_rows(outputs)
        if inputs is None:
            channels.protect(after, f"{layer.name} has groups over inputs of fixed size")
            return None, after
        channels.tie_rows(np.concatenate([inputs, outputs], axis=1))
        return None, after
    channels.tie_rows(outputs.T)
    if inputs is None:
        return None, after
    channels.tie_rows(inputs.T)
    return inputs[0], after
