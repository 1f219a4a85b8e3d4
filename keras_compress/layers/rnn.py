"""RNN: the kernels of its cells, if these are cells of Keras."""

from keras_compress.layers._recurrent import Recurrent


class RNN(Recurrent):
    """`keras.layers.RNN` of one cell or of several; see `Recurrent`."""
