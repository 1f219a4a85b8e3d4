"""Bidirectional recurrent layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.propagation.recurrent import (
    GATES,
    bind_cell,
    count_cell,
    idle,
)
from keras_compress.shrinking.removal import Kept


class Bidirectional(PropagationRule):
    """Bidirectional LSTM, GRU or SimpleRNN: unit i is removed from both directions together."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind both cells to the same units."""
        layer, axes = call.operation, inputs[0]
        both = (layer.forward_layer, layer.backward_layer)
        if len(call.inputs) + len(call.outputs) > 2 or not _alike(*both):
            return self._give_up(call, inputs, channels)
        units = channels.new(both[0].units, call.name)
        for half in both:
            bind_cell(layer, half, axes.get(2), units, channels)
            count_cell(call, half, axes.get(2), units, channels)
        channels.protect(axes.get(1), f"{call.name} runs along their axis")
        ids = np.concatenate([units, units]) if layer.merge_mode == "concat" else units
        return [{len(call.output.shape) - 1: ids}]

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the units of both halves."""
        units, config = kept(layer.forward_layer.cell.recurrent_kernel, 0), layer.get_config()
        halves = {name: config[name] for name in ("layer", "backward_layer") if config.get(name)}
        for half in halves.values():
            half["config"]["units"] = units
            half.pop("build_config", None)  # holds the old input's shape
        return halves

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """Both kernels sum over their rows."""
        layer = call.operation
        return tuple(
            (call.inputs[0], half.cell.kernel, 0)
            for half in (layer.forward_layer, layer.backward_layer)
        )

    def internals(self, layer: keras.Layer) -> Sequence[tuple[Any, int, np.ndarray]]:
        """Each recurrence reads its own units; units that stay at zero add nothing."""
        return tuple(
            (half.cell.recurrent_kernel, 0, ~idle(half, half.cell))
            for half in (layer.forward_layer, layer.backward_layer)
        )

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A unit whose candidate state is always zero stays at zero."""
        layer = call.operation
        halves = (layer.forward_layer, layer.backward_layer)
        if layer.merge_mode != "concat" or len(call.inputs) > 1 or layer.stateful:
            return [None] * len(call.outputs)
        still = np.concatenate([idle(half, half.cell) for half in halves])
        return [np.where(still, 0.0, np.nan)]

    def _give_up(self, call, inputs, channels):
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} has states or halves that are not supported")
        return [{} for _ in call.outputs]


def _alike(forward, backward):
    forms = {operations.of(forward).form, operations.of(backward).form}
    return len(forms) == 1 and forms <= set(GATES) and forward.units == backward.units
