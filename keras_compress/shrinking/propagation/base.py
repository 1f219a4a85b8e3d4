"""What a rule is: how the channels of a family of layers pass from its inputs to its outputs."""

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


class Rule:
    """Base of all rules, each for a family of layers or operations.

    The axes of a tensor that hold channels are a dict, `{axis: ids}`; an axis that is not in it
    has a fixed size. Which of Keras' layers and operations a rule of this package serves stands in
    `layers.operations` and on the layer types. A rule for a layer of your own goes to
    `kc.shrink(..., rules=[MyRule()])` and names the layer's class in `operations`.

    Example:
        >>> class Scale(Rule):  # a layer with one factor for each channel
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
            inputs: For each of `call.inputs` its `{axis: ids}`.
            channels: The `Channels` that takes new ids, ties, protections, bindings and costs.

        Returns:
            For each of `call.outputs` its `{axis: ids}`.
        """
        raise NotImplementedError

    def reconfigure(self, layer: keras.Layer, kept: Kept) -> dict[str, Any]:
        """Return the entries of the layer's configuration that the removal changes.

        Args:
            layer: The layer.
            kept: `kept(key, axis)` is the number of channels kept along an axis that was bound, or
                the size of a weight's axis that was not; `kept.before(key, axis)` the old one.
        """
        return {}

    def mixes(self, call: Call) -> Sequence[tuple[Value, Any, int]]:
        """Return where inputs are summed over channels: tuples (value, weight, axis)."""
        return ()

    def internals(self, layer: keras.Layer) -> Sequence[tuple[Any, int, np.ndarray]]:
        """Return where a layer sums over its own channels: tuples (weight, axis, live ones)."""
        return ()

    def constants(
        self, call: Call, inputs: Sequence[np.ndarray | None], axes: Sequence[int | None]
    ) -> list[np.ndarray | None]:
        """Tell which output channels are constant, whatever the model is given.

        Args:
            call: The `Call`.
            inputs: For each of `call.inputs` an array with the constant value of each channel,
                NaN where it varies; `None` where nothing is known.
            axes: For each input the axis that holds them; `None` where there is none.

        Returns:
            The same for each of `call.outputs`.
        """
        return [None] * len(call.outputs)

    def contribution(
        self, layer: keras.Layer, values: np.ndarray, border: bool = True
    ) -> np.ndarray | None:
        """Return what constant input channels add to the outputs, if a bias can take it.

        Args:
            layer: The layer.
            values: Array of the constants, zero where a channel is not to be counted.
            border: Whether it must hold at the border too, where padding with zeros takes the
                place of some constants.

        Returns:
            Array for the outputs; `None` where a bias cannot say it.
        """
        return None


def channel_axis(layer, value):
    """Return the axis of channels of a tensor, by the layer's data format."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else len(value.shape) - 1


def protect_others(call, axes, allowed, channels):
    """Protect channels that lie along axes which the layer treats as positions."""
    for axis, ids in axes.items():
        if axis not in np.atleast_1d(allowed):
            channels.protect(ids, f"{call.name} treats their axis as positions")


def keeps_channels_apart(activation):
    """Tell whether an activation function works on each element by itself."""
    name = getattr(activation, "__name__", None)
    module = getattr(activation, "__module__", "") or ""
    return activation is None or (
        module.startswith("keras.") and name in operations.ELEMENTWISE_ACTIVATIONS
    )


def protect_mixed(call, activation, ids, channels):
    """Protect channels that an activation mixes (softmax) or may mix (a function of the user)."""
    if not keeps_channels_apart(activation):
        name = getattr(activation, "__name__", type(activation).__name__)
        channels.protect(ids, f"{call.name} applies {name} across them")


def activate(activation, values):
    """Apply an element-wise activation to constants, NaN staying NaN."""
    if activation is None:
        return values
    known = np.nan_to_num(values).astype("float32")
    result = keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(known)))
    return np.where(np.isnan(values), np.nan, result)


def rows_in_use(weight, axis):
    """Return for each position along an axis of a weight whether anything there is not zero."""
    rows = np.moveaxis(np.asarray(weight), axis, 0)
    return np.any(rows.reshape(len(rows), -1) != 0, axis=1)


class Unknown(Rule):
    """What has no rule: its inputs are protected and its outputs have fixed sizes."""

    def propagate(self, call: Call, inputs: Sequence[Axes], channels: Channels) -> Sequence[Axes]:
        """Protect all channels that come in."""
        kind = type(call.operation).__name__
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} is a {kind}, which has no rule")
        return [{} for _ in call.outputs]


def rule_of(operation, rules=()):
    """Return the rule for an operation: the user's first, then the package's, else `Unknown`.

    Only classes of Keras itself are known by name: a subclass may compute something else.
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
