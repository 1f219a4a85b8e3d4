"""Bidirectional: the kernels of both directions."""

from keras_compress.layers._recurrent import Recurrent


class Bidirectional(Recurrent):
    """`keras.layers.Bidirectional` of two recurrent layers; see `Recurrent`."""
