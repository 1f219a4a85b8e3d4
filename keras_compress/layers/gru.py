"""GRU: kernels of three gates: update, reset, candidate."""

from keras_compress.layers._recurrent import Recurrent


class GRU(Recurrent):
    """`keras.layers.GRU`; see `Recurrent`."""
