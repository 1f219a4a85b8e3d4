"""Recurrent layers: whole units are removed."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule, rows_in_use
from keras_compress.shrinking.removal import Kept

GATES: dict[str | None, int] = {"lstm": 4, "gru": 3, "simple_rnn": 1}
# The gate that computes the candidate state: if its weights are zero, the unit stays at zero.
PROPOSAL: dict[str | None, int] = {"lstm": 2, "gru": 2, "simple_rnn": 0}


class Recurrent(PropagationRule):
    """LSTM, GRU and SimpleRNN: a unit is a column in every gate and a row of the recurrence."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the cell's weights; the units are the channels of outputs and states."""
        layer, axes = call.operation, inputs[0]
        if not _followed(layer):
            return self._give_up(call, inputs, channels)
        units = channels.new(layer.units, call.name)
        for state in inputs[1:]:
            channels.tie(units, state.get(1), f"{call.name} starts from a state of fixed size")
        bind_cell(layer, layer, axes.get(2), units, channels)
        count_cell(call, layer, axes.get(2), units, channels)
        channels.protect(axes.get(1), f"{call.name} runs along their axis")
        first = {2: units} if layer.return_sequences else {1: units}
        return [first] + [{1: units}] * (len(call.outputs) - 1)

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of units."""
        return {"units": kept(layer.cell.recurrent_kernel, 0)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """The kernel sums over its rows."""
        return ((call.inputs[0], call.operation.cell.kernel, 0),)

    def internals(self, layer: keras.Layer) -> Sequence[tuple[Any, int, np.ndarray]]:
        """The recurrence reads the layer's own units; a unit that stays at zero adds nothing."""
        return ((layer.cell.recurrent_kernel, 0, ~idle(layer, layer.cell)),)

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """A unit whose candidate state is always zero stays at zero."""
        layer = call.operation
        if len(call.inputs) > 1 or layer.stateful or not _followed(layer):
            return [None] * len(call.outputs)
        return [np.where(idle(layer, layer.cell), 0.0, np.nan)] * len(call.outputs)

    def _give_up(self, call, inputs, channels):
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} has an activation that is not supported")
        return [{} for _ in call.outputs]


def bind_cell(owner, layer, before, units, channels):
    """Bind the weights of a layer's cell. `owner` is the layer that has them as its weights."""
    cell, columns = layer.cell, np.tile(units, GATES[operations.of(layer).form])
    channels.bind(owner, cell.kernel, 0, before)
    channels.bind(owner, cell.kernel, 1, columns)
    channels.bind(owner, cell.recurrent_kernel, 0, units)
    channels.bind(owner, cell.recurrent_kernel, 1, columns)
    if cell.use_bias:
        channels.bind(owner, cell.bias, -1, columns)


def count_cell(call, layer, before, units, channels):
    """Count the two matrix products of every step."""
    steps, features = call.inputs[0].shape[1:3]
    gates = GATES[operations.of(layer).form]
    size = features if before is None else before
    channels.count(call, (steps or 1) * gates, size, units)
    channels.count(call, (steps or 1) * gates, units, units)


def _followed(layer):
    functions = (layer.activation, getattr(layer, "recurrent_activation", None))
    names = {getattr(function, "__name__", None) for function in functions if function}
    return names <= {"tanh", "sigmoid", "relu", "hard_sigmoid", "linear"}


def idle(layer, cell):
    """Return a mask of the units that stay at zero, as their candidate gate has no weights."""
    gate, units = PROPOSAL[operations.of(layer).form], layer.units
    weights = [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]
    live = np.zeros(units, bool)
    for weight in weights:
        columns = rows_in_use(weight, len(weight.shape) - 1)
        live |= columns[gate * units : (gate + 1) * units]
    zero_stays = layer.activation.__name__ in ("tanh", "relu", "linear")
    return ~live if zero_stays else np.zeros(units, bool)
