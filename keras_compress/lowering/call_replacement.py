"""Calls of a graph that take the place of one call."""

import keras

from keras_compress.graph import graph as graphs


class CallReplacement:
    """Writes down calls one after the other, then puts them where another call was.

    Args:
        call: The `Call` to be replaced.
        made: Dict that remembers layers by name, so that a layer called twice is taken apart once.
    """

    def __init__(self, call, made):
        self._call = call
        self._made = made
        self._calls = []

    def layer(self, name, make):
        """Return the layer of that name behind the name of the one replaced.

        Args:
            name: What it does.
            make: Function of the full name that makes it where it is not made yet.
        """
        full_name = f"{self._call.name}_{name}"
        if (self._call.operation, full_name) not in self._made:
            self._made[self._call.operation, full_name] = make(full_name)
        return self._made[self._call.operation, full_name]

    def add(self, layer, *values):
        """Call a layer, which builds it.

        Args:
            layer: A Keras layer of one output.
            values: Its positional arguments, each a `Value`, a list of them or a constant.

        Returns:
            The `Value` that it makes.
        """
        tensors = keras.tree.map_structure(
            lambda leaf: keras.KerasTensor(leaf.shape, leaf.dtype) if _is_value(leaf) else leaf,
            values,
        )
        result = layer(*tensors)
        made = graphs.Value(tuple(result.shape), result.dtype)
        inputs = [leaf for leaf in keras.tree.flatten(values) if _is_value(leaf)]
        made.producer = graphs.Call(layer, values, {}, inputs, [made], self._call.scope)
        self._calls.append(made.producer)
        return made

    def replace(self, graph, result):
        """Put what was written down into a graph.

        Args:
            graph: The `Graph`, changed in place.
            result: The value that is read in the place of the call's output.
        """
        graphs.replace(graph, self._call, self._calls, result)


def _is_value(leaf):
    return isinstance(leaf, graphs.Value)
