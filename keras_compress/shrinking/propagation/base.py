"""The base class of propagation rules: how channels pass from a layer's inputs to its outputs."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_compress.graph.graph import Call, Value
from keras_compress.layers import operations
from keras_compress.shrinking.channels import Axes, Channels
from keras_compress.shrinking.removal import Kept
from keras_compress.support import plugins

PACKAGE = "keras_compress.shrinking.propagation"


class PropagationRule:
    """Base class of all rules. Each rule serves a family of layers or operations.

    The channel axes of a tensor are a dict, `{axis: ids}`; an axis that is missing has a fixed
    size. `layers.operations` and the layer types say which rule serves which Keras layer or
    operation. To support a custom layer, write a rule that names the layer's class in
    `operations`, and pass it to `kc.shrink(..., rules=[MyRule()])`.

    Example:
        >>> class Scale(PropagationRule):  # a layer with one factor for each channel
        ...     operations = ("Scale",)
        ...
        ...     def propagate(self, call, inputs, channels):
        ...         channels.bind(call.operation, call.operation.factor, 0, inputs[0].get(3))
        ...         return inputs
    """

    operations: tuple[str, ...] = ()

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Follow the channels through one call.

        Args:
            call: The `Call`.
            inputs: The `{axis: ids}` of each of `call.inputs`.
            channels: The `Channels` that collects new ids, ties, protections, bindings and costs.

        Returns:
            The `{axis: ids}` of each of `call.outputs`.
        """
        raise NotImplementedError

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Return the entries of the layer's configuration that the removal changes.

        Args:
            layer: The layer.
            kept: `kept(key, axis)` is the number of channels kept along a bound axis, or the
                size of an unbound axis of a weight; `kept.before(key, axis)` is the old size.
        """
        return {}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """Return where a call sums its inputs over channels: tuples (value, weight, axis)."""
        return ()

    def internals(self, layer: keras.Layer) -> Sequence[tuple[Any, int, np.ndarray]]:
        """Return where a layer sums over its own channels: tuples (weight, axis, live mask)."""
        return ()

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Return the output channels that are constant for every input of the model.

        Args:
            call: The `Call`.
            inputs: For each of `call.inputs`, an array with the constant value of each channel,
                NaN for channels that vary; `None` if nothing is known.
            axes: The channel axis of each input; `None` if it has none.

        Returns:
            Such an array, or `None`, for each of `call.outputs`.
        """
        return [None] * len(call.outputs)

    def contribution(
        self, layer: keras.Layer, values: np.ndarray, border: bool = True
    ) -> np.ndarray | None:
        """Return what constant input channels add to the outputs, if a bias can express it.

        Args:
            layer: The layer.
            values: Array of the constants, zero for channels that do not count.
            border: Whether the result must also hold at the border, where zero padding replaces
                some of the constants.

        Returns:
            Array of one value per output channel; `None` if a bias cannot express it.
        """
        return None


def channel_axis(layer, value):
    """Return the channel axis of a tensor, by the layer's data format."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else len(value.shape) - 1


def protect_others(call, axes, allowed, channels):
    """Protect channels along axes that the layer treats as positions."""
    for axis, ids in axes.items():
        if axis not in np.atleast_1d(allowed):
            channels.protect(ids, f"{call.name} treats their axis as positions")


def keeps_channels_apart(activation):
    """Tell whether an activation function is element-wise."""
    name = getattr(activation, "__name__", None)
    module = getattr(activation, "__module__", "") or ""
    return activation is None or (
        module.startswith("keras.") and name in operations.ELEMENTWISE_ACTIVATIONS
    )


def protect_mixed(call, activation, ids, channels):
    """Protect channels that an activation mixes (softmax) or may mix (a user's function)."""
    if not keeps_channels_apart(activation):
        name = getattr(activation, "__name__", type(activation).__name__)
        channels.protect(ids, f"{call.name} applies {name} across them")


def activate(activation, values):
    """Apply an element-wise activation to constants; NaN stays NaN."""
    if activation is None:
        return values
    filled = np.nan_to_num(values).astype("float32")
    result = keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(filled)))
    return np.where(np.isnan(values), np.nan, result)


def rows_in_use(weight, axis):
    """Return a mask of the positions along an axis of a weight that are not all zero."""
    rows = np.moveaxis(keras.ops.convert_to_numpy(weight), axis, 0)
    return np.any(rows.reshape(len(rows), -1) != 0, axis=1)


def constant_filters(layer: keras.Layer, kernel: keras.Variable, axis: int) -> np.ndarray:
    """Return the outputs of zero filters, which are their biases, and NaN for all others.

    Args:
        layer: A layer with `use_bias`, `bias` and `activation`.
        kernel: The kernel that holds the filters.
        axis: Its axis that counts them.

    Returns:
        Float array (filters,).
    """
    result = np.where(rows_in_use(kernel, axis), np.nan, 0.0)
    if layer.use_bias:
        result = result + keras.ops.convert_to_numpy(layer.bias)
    return activate(layer.activation, result)


class Unknown(PropagationRule):
    """The rule for unsupported operations: inputs are protected and outputs have fixed sizes."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Protect all input channels."""
        kind = type(call.operation).__name__
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} is a {kind}, which has no rule")
        return [{} for _ in call.outputs]


def rule_of(operation, rules=()):
    """Return the rule for an operation: the user's, else this package's, else `Unknown`.

    The package's rules apply only to Keras' own classes, as a subclass may compute something else.
    """
    kind = type(operation)
    for rule in rules:
        if kind.__name__ in rule.operations:
            return rule
    of_keras = kind.__module__.split(".")[0] == "keras"
    return _rule_named(operations.of(operation).propagation if of_keras else None)


@functools.cache
def _rule_named(name):
    return Unknown() if name is None else plugins.get(PACKAGE, name)()
