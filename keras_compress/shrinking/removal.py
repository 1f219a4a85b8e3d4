"""Build the smaller model: sliced weights in layers of changed configuration."""

import keras
import numpy as np

from keras_compress.graph.graph import Value
from keras_compress.graph.live_copy import live_copy
from keras_compress.graph.replay import rebuild


class Kept:
    """How many channels stay along the axes of one layer's weights.

    Args:
        graph: A `DependencyGraph`.
        layer: The layer.
        keep: Mask of the groups that stay.
    """

    def __init__(self, graph, layer, keep):
        self._graph, self._layer, self._keep = graph, layer, keep

    def __call__(self, key, axis):
        """Return the number of channels that are kept."""
        groups = self._graph.groups_along(self._layer, key, axis)
        return self._fixed(key, axis) if groups is None else int(self._keep[groups].sum())

    def before(self, key, axis):
        """Return the number of channels before the removal."""
        groups = self._graph.groups_along(self._layer, key, axis)
        return self._fixed(key, axis) if groups is None else len(groups)

    def _fixed(self, key, axis):
        return None if isinstance(key, str) else int(key.shape[axis])


def remove(graph, keep, biases=None, skipped=None):
    """Build the smaller model without the removed groups.

    Args:
        graph: A `DependencyGraph`.
        keep: Mask of the groups that stay.
        biases: What `folded_biases` returned: constants to add to biases.
        skipped: `{Call: Value}`: each call is replaced by an earlier value. This is how blocks
            are removed.

    Returns:
        A new `keras.Model`; the old one is not changed.

    Raises:
        UnsupportedModelError: A layer cannot be recreated from its configuration.
    """
    builder = _Builder(graph, keep, biases or {}, skipped)
    model = rebuild(graph.graph, builder.apply)
    builder.set_weights()
    return model


def observe(graph, values):
    """Build a copy of a model that outputs intermediate values of its graph.

    Args:
        graph: A `DependencyGraph`.
        values: The `Value` objects to output.

    Returns:
        A `keras.Model` with the same weights and a list of outputs.
    """
    builder = _Builder(graph, np.ones(graph.size, bool), {})
    copy = rebuild(graph.graph, builder.apply)
    builder.set_weights()
    inputs = keras.tree.pack_sequence_as(graph.graph.inputs, copy.inputs)
    return keras.Model(inputs, [builder.tensors[value] for value in values])


class _Builder:
    def __init__(self, graph, keep, biases, skipped=None):
        self.graph, self.keep, self.biases = graph, keep, biases
        self.skipped = skipped or {}
        self.copies = {}
        self.names = set()
        self.tensors = {}

    def apply(self, call, args, kwargs):
        if isinstance(call, Value):
            self.tensors[call] = args[0]
            return args[0]
        if call in self.skipped:
            result = self.tensors[self.skipped[call]]
        else:
            result = self._copy(call)(*args, **kwargs)
        self.tensors.update(zip(call.outputs, keras.tree.flatten(result), strict=True))
        return result

    def set_weights(self):
        axes: dict[int, list[tuple[int, np.ndarray]]] = {}
        for slot in self.graph.slots:
            axes.setdefault(id(slot.weight), []).append((slot.axis, slot.groups))
        for old, new in self.copies.values():
            if isinstance(old, keras.layers.Layer):
                self._set_layer(old, new, axes)

    def _set_layer(self, old, new, axes):
        added = self.biases.get(id(old))
        targets = [weight for weight in new.weights if weight is not self._added_bias(old, new)]
        for source, target in zip(old.weights, targets, strict=True):
            target.assign(self._sliced(source, axes.get(id(source), ())))
        if added is not None:
            kept = self._sliced_bias(old, added)
            new.bias.assign(keras.ops.convert_to_numpy(new.bias) + kept)

    def _added_bias(self, old, new):
        grown = id(old) in self.biases and not old.use_bias
        if grown:
            new.bias.assign(np.zeros(new.bias.shape))
        return new.bias if grown else None

    def _sliced(self, weight, axes):
        array = keras.ops.convert_to_numpy(weight)
        for axis, groups in axes:
            array = np.compress(self.keep[groups], array, axis=axis)
        return array

    def _sliced_bias(self, layer, added):
        axis = len(layer.kernel.shape) - 1
        groups = self.graph.groups_along(layer, layer.kernel, axis)
        return added if groups is None else added[self.keep[groups]]

    def _copy(self, call):
        operation = call.operation
        if id(operation) not in self.copies:
            self.copies[id(operation)] = (operation, self._new(call))
        return self.copies[id(operation)][1]

    def _new(self, call):
        operation = call.operation
        changes = self.graph.rule(call).reconfigure(
            operation, Kept(self.graph, operation, self.keep)
        )
        if not isinstance(operation, keras.layers.Layer) and not changes:
            return operation
        if id(operation) in self.biases:
            changes["use_bias"] = True
        if isinstance(operation, keras.layers.Lambda):
            return operation
        if isinstance(operation, keras.layers.Layer):
            return live_copy(operation, self._name(call), type(operation), changes)
        return type(operation).from_config({**operation.get_config(), **changes})

    def _name(self, call):
        """Return the layer's name, prefixed by the nested models around it if it is taken."""
        name = call.name
        if name in self.names:
            name = "_".join((*call.scope, name))
        while name in self.names:
            name += "_1"
        self.names.add(name)
        return name
