"""Dense: FULLY_CONNECTED, weights (out, in)."""

import keras

from keras_compress.layers._matrix_form import MatrixForm
from keras_compress.layers.base import Kernel, LayerType


class Dense(LayerType):
    """`keras.layers.Dense`; the profile decides whether it has a scale for each channel."""

    propagation = "dense"
    fuses_batch_norm = True
    has_integer_bias = True

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (Kernel("kernel", channel_axes=(1,), permutation=(1, 0), input_axis=0),)

    def matrix_form(self, layer: keras.Layer) -> MatrixForm | None:
        """See `LayerType.matrix_form`."""
        return MatrixForm("units", tuple(layer.kernel.shape), outputs=1, inputs=(0,))

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """See `LayerType.run_time_axes`."""
        return (rank - 1,)
