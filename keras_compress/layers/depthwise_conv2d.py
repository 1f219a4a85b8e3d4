"""DepthwiseConv2D: DEPTHWISE_CONV_2D, weights (1, height, width, out)."""

from typing import Any

import keras

from keras_compress.layers._matrix_form import MatrixForm
from keras_compress.layers._run_time_axes import of_samples
from keras_compress.layers.base import DepthwiseKernel, Kernel, LayerType


class DepthwiseConv2D(LayerType):
    """`keras.layers.DepthwiseConv2D`.

    It is not pruned unless named, as pruning its few weights costs much accuracy.
    """

    propagation = "depthwise_conv"
    fuses_batch_norm = True
    has_integer_bias = True
    rounds_twice_when_packed = True

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (
            DepthwiseKernel(
                "kernel",
                channel_axes=(2, 3),
                permutation=(0, 1, 2, 3),
                deployed_channel_axis=3,
                prunable=False,
                input_axis=2,
            ),
        )

    def matrix_form(self, layer: keras.Layer) -> MatrixForm | None:
        """See `LayerType.matrix_form`."""
        shape = tuple(layer.kernel.shape)
        return MatrixForm("depth_multiplier", shape, outputs=3, inputs=(0, 1), groups=2)

    def run_time_axes(self, layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...] | None:
        """See `LayerType.run_time_axes`."""
        return of_samples(rank)

    def fold(self, kernel: Any, factor: Any) -> Any:
        """See `LayerType.fold`."""
        return kernel * factor.reshape(kernel.shape[2:])
