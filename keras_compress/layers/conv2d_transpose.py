"""Conv2DTranspose: TRANSPOSE_CONV, weights (out, height, width, in)."""

from typing import Any

import keras

from keras_compress.layers._matrix_form import MatrixForm
from keras_compress.layers._run_time_axes import of_samples
from keras_compress.layers.base import Kernel, LayerType, positions


class Conv2DTranspose(LayerType):
    """`keras.layers.Conv2DTranspose`, whose Keras kernel is (height, width, out, in)."""

    propagation = "transposed_conv"
    fuses_batch_norm = True
    has_integer_bias = True

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (Kernel("kernel", channel_axes=(2,), permutation=(2, 0, 1, 3), input_axis=3),)

    def matrix_form(self, layer: keras.Layer) -> MatrixForm | None:
        """See `LayerType.matrix_form`."""
        return MatrixForm("filters", tuple(layer.kernel.shape), outputs=2, inputs=(0, 1, 3))

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """See `LayerType.run_time_axes`."""
        return of_samples(rank)

    def fold(self, kernel: Any, factor: Any) -> Any:
        """See `LayerType.fold`."""
        return kernel * factor[:, None]

    def weight_uses(self, layer, input_shape, output_shape):
        """See `LayerType.weight_uses`."""
        channels_first = layer.data_format == "channels_first"
        return positions(input_shape, 1 if channels_first else -1)
