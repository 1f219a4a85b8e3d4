"""Pairs of layers between which a channel can be scaled: divided in one, multiplied in the next."""

import dataclasses
from typing import Any

import keras

from keras_compress.graph.graph import Call
from keras_compress.layers import base as layer_types
from keras_compress.layers import operations
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import activation_name, role


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelLink:
    """A layer, the next layer with a kernel, and the calls between them.

    Args:
        first: The layer whose output channels are divided.
        norm: The BatchNormalization directly after it, which is divided instead, or `None`.
        last: The layer whose input channels are multiplied.
        repeats: How often each channel occurs in the inputs of `last` (after a Flatten).
        capped: Calls between the two layers that apply ReLU6.
    """

    first: Any
    norm: Any
    last: Any
    repeats: int = 1
    capped: tuple[Call, ...] = ()


def channel_links(graph):
    """Find all pairs of layers of a plain model between which channels can be scaled.

    Each tensor between the two layers must have a single reader, and every operation between them
    must be positively homogeneous: ReLU, leaky ReLU, pooling, padding, Flatten. A
    BatchNormalization may directly follow the first layer. ReLU6 is not homogeneous; links across
    it list its calls in `capped`.

    Args:
        graph: A `Graph`.

    Returns:
        List of `ChannelLink`, in execution order.
    """
    links = [_follow(graph, call) for call in graph.calls if _own_activation_allows(call)]
    return [link for link in links if link is not None]


def _own_activation_allows(call):
    layer_type = layer_types.find(call.operation)
    if layer_type is None or len(layer_type.kernels(call.operation)) != 1:
        return False
    kernel = layer_type.kernels(call.operation)[0]
    activation = activation_name(call.operation)
    return kernel.input_axis is not None and activation in (None, "linear", "relu")


def _follow(graph, call):
    first, norm, capped, repeats = call.operation, None, [], 1
    value = call.output
    while True:
        if len(value.consumers) != 1 or value in graph.flat_outputs:
            return None
        (reader,) = value.consumers
        operation = reader.operation
        if _takes_channels(operation):
            break
        if value is call.output and _is_affine_norm(operation, first, len(value.shape)):
            norm = operation
        elif role(operation) is Role.RELU:
            capped += [reader] if _is_capped(operation) else []
        elif not operations.of(operation).homogeneous and not _is_linear(operation):
            return None
        if operations.of(operation).form == "flatten":
            repeats = reader.output.shape[-1] // value.shape[-1]
        value = reader.output
    used = [first, operation] + ([] if norm is None else [norm])
    if any(sum(other.operation is one for other in graph.calls) != 1 for one in used):
        return None
    return ChannelLink(first, norm, operation, repeats, tuple(capped))


def _takes_channels(operation):
    layer_type = layer_types.find(operation)
    if layer_type is None or getattr(operation, "groups", 1) != 1:
        return False
    kernels = layer_type.kernels(operation)
    return len(kernels) == 1 and kernels[0].input_axis is not None


def _is_affine_norm(operation, first, rank):
    if not isinstance(operation, keras.layers.BatchNormalization) or not operation.scale:
        return False
    plain = activation_name(first) in (None, "linear")
    return plain and operation.axis in (-1, rank - 1)


def _is_capped(operation):
    return (
        activation_name(operation) == "relu6" or getattr(operation, "max_value", None) is not None
    )


def _is_linear(operation):
    return activation_name(operation) == "linear" and layer_types.find(operation) is None
