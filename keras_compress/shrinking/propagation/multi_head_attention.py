"""Multi-head attention: whole heads are removed."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.propagation.base import PropagationRule, rows_in_use
from keras_compress.shrinking.removal import Kept


class MultiHeadAttention(PropagationRule):
    """MultiHeadAttention: heads are its inner channels, output features its outer channels.

    The rows of the projections follow the query, key and value inputs. Source of removing whole
    heads: Michel et al., "Are Sixteen Heads Really Better than One?", NeurIPS 2019.
    """

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Bind the four projections."""
        layer, values = call.operation, _values(call)
        layout = dict(zip(call.inputs, inputs, strict=True))
        if values is None or any(len(value.shape) != 3 for value, _ in values):
            return self._give_up(call, inputs, channels)
        heads = channels.new(layer.num_heads, f"{call.name}:heads")
        for value, dense in values:
            channels.protect(layout[value].get(1), f"{call.name} attends over their axis")
            channels.bind(layer, dense.kernel, 0, layout[value].get(2))
            channels.bind(layer, dense.kernel, 1, heads)
            if layer.use_bias:
                channels.bind(layer, dense.bias, 0, heads)
        after = self._outputs(call, heads, channels)
        self._count(call, layout, heads, after, channels)
        return [{2: after}] + [{}] * (len(call.outputs) - 1)

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Set the number of heads and the features of the output."""
        kernel = layer.output_dense.kernel
        return {"num_heads": kept(kernel, 0), "output_shape": kept(kernel, 2)}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """Each projection sums over the features of its input."""
        values = _values(call) or ()
        return tuple((tensor, dense.kernel, 0) for tensor, dense in values)

    def internals(self, layer: keras.Layer) -> Sequence[tuple[Any, int, np.ndarray]]:
        """Heads whose values are zero add nothing to the output."""
        live = rows_in_use(layer.value_dense.kernel, 1)
        if layer.use_bias:
            live = live | rows_in_use(layer.value_dense.bias, 0)
        return ((layer.output_dense.kernel, 0, live),)

    def _outputs(self, call, heads, channels):
        layer, kernel = call.operation, call.operation.output_dense.kernel
        if len(kernel.shape) != 3:
            channels.protect(heads, f"{call.name} has an output of several axes")
            return channels.fixed(call.outputs[0].shape[-1], "its axes are not supported")
        after = channels.new(kernel.shape[2], call.name)
        channels.bind(layer, kernel, 0, heads)
        channels.bind(layer, kernel, 2, after)
        if layer.use_bias:
            channels.bind(layer, layer.output_dense.bias, 0, after)
        return after

    def _give_up(self, call, inputs, channels):
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} attends in a way that is not supported")
        return [{} for _ in call.outputs]

    def _count(self, call, layout, heads, after, channels):
        layer = call.operation
        (query, _), (value, _), (key, _) = _values(call)
        steps, memory = query.shape[1] or 1, value.shape[1] or 1
        projections = ((query, steps, layer.key_dim), (key, memory, layer.key_dim))
        for tensor, length, size in (*projections, (value, memory, layer.value_dim)):
            features = layout[tensor].get(2)
            features = tensor.shape[2] if features is None else features
            channels.count(call, length * size, features, heads)
        channels.count(call, steps * memory * (layer.key_dim + layer.value_dim), heads)
        channels.count(call, steps * layer.value_dim, heads, after)


def _values(call):
    """Return (tensor, projection) of query, value and key. By default the key is the value."""
    layer = call.operation
    names = ("query", "value", "key")
    given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    tensors = [given["query"], given["value"], given.get("key")]
    if tensors[2] is None:
        tensors[2] = tensors[1]
    gated = layer.get_config().get("use_gate", False)
    if gated or any(not any(tensor is value for value in call.inputs) for tensor in tensors):
        return None
    projections = (layer.query_dense, layer.value_dense, layer.key_dense)
    return list(zip(tensors, projections, strict=True))
