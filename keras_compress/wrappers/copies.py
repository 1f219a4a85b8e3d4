"""Copies of a model's layers, for rebuilding the model from its graph."""

import dataclasses
from typing import Any

import keras

from keras_compress.graph.live_copy import live_copy
from keras_compress.lowering import whole
from keras_compress.lowering.recurrent import whole_weights
from keras_compress.wrappers.compressed_layer import CompressedLayer
from keras_compress.wrappers.fused_normalization import FusedBatchNormalization


class LayerCopies:
    """Copies layers for a rebuilt model: one copy per layer, unique names, weights copied last.

    Args:
        reserved: Names of the model's layers, which `added` does not give to others.
    """

    def __init__(self, reserved=()):
        self._copies = {}
        self._sources = []
        self._names = set()
        self._reserved = frozenset(reserved)

    def plain(self, operation, changes=None):
        """Return the copy of a layer; other operations have no state and are returned unchanged.

        Args:
            operation: A Keras layer or operation.
            changes: Entries of its config that the copy has instead.

        Returns:
            An unbuilt layer of the same configuration, the same object for repeated calls; a plain
            `BatchNormalization` for a `FusedBatchNormalization`.
        """
        if not isinstance(operation, keras.layers.Layer):
            return operation
        if operation not in self._copies:
            name = self.free_name(operation.name)
            copy = live_copy(operation, name, _plain_type(operation), changes or {})
            self._copies[operation] = self._register(copy, operation)
        return self._copies[operation]

    def stripped(self, wrapper, changes=None):
        """Return one callable for the plain layers inside a wrapper.

        Args:
            wrapper: A `CompressedLayer`.
            changes: Entries of its layer's config that the copy has instead.
        """
        if wrapper not in self._copies:
            name = self.free_name(wrapper.name)
            layer = live_copy(wrapper.layer, name, type(wrapper.layer), changes or {})
            self._sources.append((layer, wrapper))
            self._copies[wrapper] = layer
        layer, norm = self._copies[wrapper], wrapper.batch_norm
        if norm is None:
            return lambda inputs, training=None, **arguments: layer(inputs, **arguments)
        norm = self.plain(norm)
        return lambda inputs, training=None: norm(layer(inputs), training=training)

    def silu(self, product):
        """Return the SiLU that a `SiluProduct` is the last part of.

        Args:
            product: A `SiluProduct`.
        """
        if product not in self._copies:
            self._copies[product] = keras.layers.Activation(
                "silu",
                activity_regularizer=product.activity_regularizer,
                name=self.free_name(product.original),
            )
        return self._copies[product]

    def together(self, operation, part, source):
        """Call the reassembled layer at the call of the last part it was lowered to.

        Args:
            operation: The last part, or its wrapper.
            part: The last part.
            source: The argument of that call; see `lowering.whole`.

        Returns:
            The output.
        """
        if operation not in self._copies:
            self._copies[operation] = whole.make(part, self.free_name(whole.name(part)))
            self._sources.append((self._copies[operation], _LoweredLayer(operation, source)))
        outputs = whole.call(self._copies[operation], source)
        norm = getattr(operation, "batch_norm", None)
        return outputs if norm is None else self.plain(norm)(outputs)

    def inner(self, layer):
        """Return a copy of a layer, with the same name, for a wrapper to hold.

        Args:
            layer: A Keras layer.
        """
        return self._register(live_copy(layer, layer.name, type(layer), {}), layer)

    def fused(self, norm):
        """Return the copy of a `BatchNormalization`, which trains with TensorFlow's fused kernel.

        Args:
            norm: A `BatchNormalization`, not of a subclass.
        """
        if norm not in self._copies:
            copy = FusedBatchNormalization.of(norm, self.free_name(norm.name))
            self._copies[norm] = self._register(copy, norm)
        return self._copies[norm]

    def custom(self, operation, make):
        """Return the layer that `make(name)` builds to replace another; no weights are copied."""
        if operation not in self._copies:
            self._copies[operation] = make(self.free_name(operation.name))
        return self._copies[operation]

    def free_name(self, name):
        """Return a unique name: the given one, or with a number if a nested model used it."""
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free

    def added(self, make):
        """Return a layer that the model does not have, whose name no layer of the model has.

        Args:
            make: Called without arguments, returns a new layer that Keras named.
        """
        layer = make()
        while layer.name in self._names | self._reserved:
            layer = make()
        self._names.add(layer.name)
        return layer

    def copy_weights(self):
        """Copy the weights to all copies; call it once the model is built."""
        for copy, source in self._sources:
            if isinstance(source, _LoweredLayer):
                source.set_weights(copy)
            elif isinstance(source, CompressedLayer) and not isinstance(copy, CompressedLayer):
                copy.set_weights(_stripped_weights(source))
            elif copy.weights and copy is not source:
                copy.set_weights(source.get_weights())
                if isinstance(copy, keras.layers.Normalization):
                    copy.finalize_state()  # Its call uses constants derived from its weights.

    def _register(self, copy, source):
        self._sources.append((copy, source))
        return copy


def _plain_type(layer):
    fused = isinstance(layer, FusedBatchNormalization)
    return keras.layers.BatchNormalization if fused else type(layer)


@dataclasses.dataclass(frozen=True)
class _LoweredLayer:
    """The lowered layers that hold the weights of a reassembled layer."""

    last: keras.layers.Layer
    source: Any

    def set_weights(self, layer):
        if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
            layer.set_weights(self._of_recurrent())
            return
        if not isinstance(self.source, whole.Pieces):
            layer.set_weights(self.last.get_weights())
            return
        sources = {part: operation for part, (operation, _) in self.source.projections.items()}
        sources["output"] = self.last
        arrays = {part: _stripped_weights(operation) for part, operation in sources.items()}
        whole.set_attention_weights(layer, arrays)

    def _of_recurrent(self):
        """Return the weights of an LSTM, or of both directions of a Bidirectional."""
        pieces = self.source if isinstance(self.source, list) else ()
        both = [operation for piece in pieces for operation, _ in piece.projections.values()]
        steps = both or [self.last]
        return [array for part in steps for array in whole_weights(_stripped_weights(part))]


def _stripped_weights(layer):
    """Return a layer's weights; for a wrapper, with masks and clusters applied."""
    if not isinstance(layer, CompressedLayer):
        return layer.get_weights()
    compressed = {
        id(layer.variable(kernel)): keras.ops.convert_to_numpy(layer.clustered_kernel(kernel))
        for kernel in layer.kernels
    }
    return [
        compressed.get(id(weight), keras.ops.convert_to_numpy(weight))
        for weight in layer.layer.weights
    ]
