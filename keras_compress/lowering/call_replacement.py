"""Replace one call of a graph by several calls."""

import keras

from keras_compress.graph import graph as graphs


class CallReplacement:
    """Collects calls one after another, then replaces another call by them.

    Args:
        call: The `Call` to replace.
        made: Dict of the layers made so far, so that a layer that is called twice is split once.
    """

    def __init__(self, call, made):
        self._call = call
        self._made = made
        self._calls = []

    def layer(self, name, make):
        """Return the new layer `{replaced layer}_{name}`, and make it if it does not exist.

        Args:
            name: Suffix of its name, which says what it does; `None` for the name alone.
            make: Function from the full name to the new layer.
        """
        full_name = f"{self._call.name}_{name}" if name else self._call.name
        if (self._call.operation, full_name) not in self._made:
            self._made[self._call.operation, full_name] = make(full_name)
        return self._made[self._call.operation, full_name]

    def add(self, layer, *values):
        """Add a call of a layer. This builds the layer.

        Args:
            layer: A Keras layer with one output.
            values: Its positional arguments, each a `Value`, a list of them or a constant.

        Returns:
            The `Value` of its output.
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
        """Replace the call in a graph by the collected calls.

        Args:
            graph: The `Graph`, changed in place.
            result: The value that replaces the call's output.
        """
        graphs.replace(graph, self._call, self._calls, result)


def _is_value(leaf):
    return isinstance(leaf, graphs.Value)
