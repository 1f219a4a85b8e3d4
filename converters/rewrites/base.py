"""The base class of rewrites, and the helper functions that they share."""

import abc
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call
from keras_compress.layers import operations
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import activation_name, role
from keras_compress.support.types import Tensors


class Rewrite(abc.ABC):
    """Computes the same as a layer with other operators.

    Attributes:
        layers: Classes of the Keras layers that it may replace; a subclass counts as its parent.
        forms: Forms of the Keras operations that it may replace (`layers.operations`).
        activations: Names of the activations that it may replace, wherever they are applied.
        keeps_tensors: Whether every tensor with a range of its own is kept. Only such a rewrite
            is applied to a model that has learned its ranges.
        serves_shared: Whether a layer that is called several times is replaced too; the same
            replacement must then serve all calls.
        keeps_weights: Whether the file holds the layer's weights as they are. Only such a rewrite
            is applied to a layer that was pruned, clustered or quantized in training.
    """

    layers: ClassVar[tuple[type, ...]] = ()
    forms: ClassVar[tuple[str, ...]] = ()
    activations: ClassVar[tuple[str, ...]] = ()
    keeps_tensors: ClassVar[bool] = False
    serves_shared: ClassVar[bool] = False
    keeps_weights: ClassVar[bool] = False

    @classmethod
    def serves(cls, operation: keras.Operation) -> bool:
        """Return whether an operation is of a kind that the rewrite may replace.

        Args:
            operation: A Keras layer or operation.
        """
        return (
            isinstance(operation, cls.layers)
            or (bool(cls.forms) and operations.of(operation).form in cls.forms)
            or (bool(cls.activations) and activation_name(operation) in cls.activations)
        )

    @abc.abstractmethod
    def is_needed(self, profile: Profile) -> bool:
        """Return whether a target's rules require the rewrite.

        Args:
            profile: A `Profile`.
        """

    @abc.abstractmethod
    def replacement(self, call: Call) -> Callable | None:
        """Return the replacement of a call.

        Args:
            call: A `keras_compress.graph.graph.Call` of an operation that the rewrite serves and
                that is called once.

        Returns:
            A function of the call's arguments that returns the same values (up to float32
            rounding), or `None` if the call is kept.
        """

    def replacements(self, call: Call) -> dict[Call, Callable]:
        """Return the replacements of a call and of other calls that must change with it.

        Args:
            call: As for `replacement`.

        Returns:
            Dictionary from calls to functions of their arguments; empty if the call is kept.
        """
        function = self.replacement(call)
        return {} if function is None else {call: function}


class Rewritten(keras.layers.Layer):
    """Takes the place of a rewritten layer, under the same name.

    Args:
        function: Computes the outputs from the inputs.
        parts: Built layers that the function calls.
        name: Name of the layer that it replaces.
    """

    def __init__(
        self,
        function: Callable[[Tensors], Tensors],
        parts: Iterable[keras.Layer] = (),
        *,
        name: str,
    ):
        super().__init__(name=name)
        self._function, self.parts = function, list(parts)

    def call(self, inputs: Tensors) -> Tensors:
        """Apply the function."""
        return self._function(inputs)


def part(
    layer: keras.Layer, input_shape: Sequence[int | None], weights: Iterable[np.ndarray] = ()
) -> keras.Layer:
    """Build a layer and set its weights.

    Args:
        layer: An unbuilt Keras layer.
        input_shape: Shape of its input, including the batch.
        weights: Arrays as `set_weights` takes them.

    Returns:
        The layer.
    """
    layer.build(input_shape)
    layer.set_weights(list(weights))
    return layer


def apart(
    operation: keras.Operation,
    names: Collection[str],
    function: Callable[[Tensors], Tensors],
    input_shape: Sequence[int | None],
) -> Rewritten | None:
    """Rewrite an activation that is a layer, an operation, or part of a layer.

    Args:
        operation: A Keras layer or operation.
        names: Names of the activation.
        function: Computes the same as the activation.
        input_shape: Shape of the operation's input.

    Returns:
        A `Rewritten`, or `None` if the operation applies none of these activations.
    """
    if activation_name(operation) not in names:
        return None
    if not getattr(operation, "weights", ()):
        return Rewritten(function, name=operation.name)
    linear = type(operation).from_config({**operation.get_config(), "activation": "linear"})
    linear = part(linear, input_shape, operation.get_weights())
    return Rewritten(lambda inputs: function(linear(inputs)), [linear], name=operation.name)


def is_relu(operation: keras.Operation) -> bool:
    """Return whether an operation is just a ReLU or a ReLU6."""
    return role(operation) is Role.RELU


def lacks(profile: Profile, operator: str) -> bool:
    """Return whether a target lists its operators and this one is not among them."""
    table = profile.operators
    return bool(table) and operator not in table and "*" not in table


def limit(profile: Profile, operator: str, name: str) -> Any:
    """Return the value of a target's limit for an operator, or `None`."""
    rule = profile.operators.get(operator)
    value = rule.limits.get(name) if rule else None
    return None if value is None else value.value


def forbids_fusing(profile: Profile, operator: str) -> bool:
    """Return whether a target supports an operator only without a fused activation."""
    return limit(profile, operator, "activations") == ["NONE"]
