"""EinsumDense: FULLY_CONNECTED or BATCH_MATMUL, by its equation."""

from keras_compress.layers.base import Kernel, LayerType


class EinsumDense(LayerType):
    """`keras.layers.EinsumDense`.

    The kernel's letters that the output has and the input has not are its output channels.
    """

    def kernels(self, layer):
        """See `LayerType.kernels`."""
        left, output = layer.equation.replace(" ", "").split("->")
        source, letters = left.split(",")
        channels = tuple(
            axis for axis, letter in enumerate(letters) if letter in output and letter not in source
        )
        rest = tuple(axis for axis in range(len(letters)) if axis not in channels)
        return (Kernel("kernel", channel_axes=channels, permutation=channels + rest),)
