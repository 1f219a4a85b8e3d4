"""SeparableConv2D: a DEPTHWISE_CONV_2D and a CONV_2D, into which quantization splits it."""

import keras

from keras_compress.layers.base import DepthwiseKernel, Kernel, LayerType, positions


class SeparableConv2D(LayerType):
    """`keras.layers.SeparableConv2D`; only its pointwise kernel is pruned by default."""

    propagation = "separable_conv"

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (
            DepthwiseKernel(
                "depthwise_kernel",
                channel_axes=(2, 3),
                permutation=(0, 1, 2, 3),
                deployed_channel_axis=3,
                prunable=False,
            ),
            Kernel("pointwise_kernel", channel_axes=(3,), permutation=(3, 0, 1, 2)),
        )

    def weight_uses(self, layer, input_shape, output_shape):
        """See `LayerType.weight_uses`."""
        channels_first = layer.data_format == "channels_first"
        return positions(output_shape, 1 if channels_first else -1)
