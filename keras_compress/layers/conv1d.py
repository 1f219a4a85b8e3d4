"""Conv1D: CONV_2D on a single row, weights (out, 1, width, in)."""

import keras

from keras_compress.layers._matrix_form import MatrixForm
from keras_compress.layers._run_time_axes import of_convolution
from keras_compress.layers.base import Kernel, LayerType


class Conv1D(LayerType):
    """`keras.layers.Conv1D`."""

    propagation = "conv"
    fuses_batch_norm = True
    has_integer_bias = True
    rounds_twice_when_packed = True

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (Kernel("kernel", channel_axes=(2,), permutation=(2, 0, 1), input_axis=1),)

    def matrix_form(self, layer: keras.Layer) -> MatrixForm | None:
        """See `LayerType.matrix_form`."""
        window, channels, filters = layer.kernel.shape
        shape = (window, channels, layer.groups, filters // layer.groups)
        return MatrixForm("filters", shape, outputs=3, inputs=(0, 1), groups=2)

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """See `LayerType.run_time_axes`."""
        return of_convolution(layer, rank, packed)
