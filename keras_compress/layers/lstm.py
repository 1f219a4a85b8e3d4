"""LSTM: kernels of four gates: input, forget, cell, output."""

from keras_compress.layers._recurrent import Recurrent


class LSTM(Recurrent):
    """`keras.layers.LSTM`; see `Recurrent`."""
