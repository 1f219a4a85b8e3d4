"""Put activations that `lowering` split off back into their layers, for `kc.strip`."""

import dataclasses
from typing import Any

import keras

from keras_compress.graph.graph import Call, Graph
from keras_compress.layers.base import is_of_compress
from keras_compress.lowering.activation_layers import InnerActivation, SiluProduct


@dataclasses.dataclass(eq=False)
class WholeActivations:
    """The activations of a graph that go back into layers.

    Args:
        graph: The `Graph` of a compressed model.

    Attributes:
        changes: Layer or wrapper -> entries of its config that make the activation its own.
        parts: The calls that then vanish: their result is their first input.
    """

    graph: dataclasses.InitVar[Graph]
    changes: dict[Any, dict[str, Any]] = dataclasses.field(default_factory=dict)
    parts: set[Call] = dataclasses.field(default_factory=set)

    def __post_init__(self, graph):
        for call in graph.calls:
            if isinstance(call.operation, InnerActivation):
                self._put_back(call, keras.activations.serialize(call.operation.activation))
            elif isinstance(call.operation, SiluProduct):
                self.parts.add(_maker(call.inputs[1]))
                if call.operation.inner:
                    self._put_back(call, "silu")

    def _put_back(self, call, activation):
        self.parts.add(call)
        regularizer = keras.regularizers.serialize(call.operation.activity_regularizer)
        self.changes[_maker(call.inputs[0]).operation] = {
            "activation": activation,
            "activity_regularizer": regularizer,
        }


def _maker(value):
    """Return the call that computes a value, before it is rounded."""
    call = value.producer
    while is_of_compress(call.operation) and not hasattr(call.operation, "layer"):
        call = call.inputs[0].producer
    return call
