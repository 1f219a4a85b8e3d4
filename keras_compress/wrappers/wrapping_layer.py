"""The base of wrappers, whose `trainable` is that of the layers inside."""

import keras

from keras_compress.wrappers.phase import PhasedLayer


class WrappingLayer(PhasedLayer):
    """A wrapper that is trainable if the layers inside it are.

    Keras ignores `layer.trainable = True` on a layer that says `True` already. A wrapper with a
    state of its own would say so around a frozen layer, which then could not be unfrozen.

    Args:
        layer: The layer inside.
        batch_norm: The `BatchNormalization` that is inside too, or `None`.
    """

    def __init__(self, layer, batch_norm=None, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.batch_norm = batch_norm

    @property
    def trainable(self):
        """Whether all layers inside are trainable. Setting it sets theirs."""
        layers = (self.layer, self.batch_norm)
        return all(layer.trainable for layer in layers if layer is not None)

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
