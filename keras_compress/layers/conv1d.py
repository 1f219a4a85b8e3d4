"""Conv1D: CONV_2D on a row, weights (out, 1, width, in)."""

from keras_compress.layers.base import Kernel, LayerType


class Conv1D(LayerType):
    """`keras.layers.Conv1D`."""

    fuses_batch_norm = True
    has_integer_bias = True

    def kernels(self, layer):
        """See `LayerType.kernels`."""
        return (Kernel("kernel", channel_axes=(2,), permutation=(2, 0, 1)),)
