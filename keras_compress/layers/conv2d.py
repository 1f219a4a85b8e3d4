"""Conv2D: CONV_2D, weights (out, height, width, in)."""

from keras_compress.layers.base import Kernel, LayerType


class Conv2D(LayerType):
    """`keras.layers.Conv2D`, grouped ones included."""

    fuses_batch_norm = True
    has_integer_bias = True

    def kernels(self, layer):
        """See `LayerType.kernels`."""
        return (Kernel("kernel", channel_axes=(3,), permutation=(3, 0, 1, 2)),)
