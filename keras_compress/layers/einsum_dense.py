"""EinsumDense: FULLY_CONNECTED or BATCH_MATMUL, depending on its equation."""

import keras

from keras_compress.layers.base import Kernel, LayerType


class EinsumDense(LayerType):
    """`keras.layers.EinsumDense`.

    The output channels are the kernel's letters that the output has and the input lacks.
    """

    propagation = "einsum_dense"

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        left, output = layer.equation.replace(" ", "").split("->")
        source, letters = left.split(",")
        channels = tuple(
            axis for axis, letter in enumerate(letters) if letter in output and letter not in source
        )
        rest = tuple(axis for axis in range(len(letters)) if axis not in channels)
        return (Kernel("kernel", channel_axes=channels, permutation=channels + rest),)

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """See `LayerType.run_time_axes`: the summed axes, if it is a single matrix product."""
        left, output = layer.equation.replace(" ", "").split("->")
        source, letters = left.split(",")
        in_batches = any(letter in source and letter in output for letter in letters)
        if in_batches or source.find("...") > 0:
            return None
        source = source.removeprefix("...")
        skipped = rank - len(source)
        return tuple(skipped + n for n, letter in enumerate(source) if letter not in output)
