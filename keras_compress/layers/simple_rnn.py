"""SimpleRNN: kernels of one gate."""

from keras_compress.layers._recurrent import Recurrent


class SimpleRNN(Recurrent):
    """`keras.layers.SimpleRNN`; see `Recurrent`."""
