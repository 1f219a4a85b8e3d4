"""SeparableConv2D: a DEPTHWISE_CONV_2D and a CONV_2D; quantization takes the two apart."""

from keras_compress.layers.base import DepthwiseKernel, Kernel, LayerType


class SeparableConv2D(LayerType):
    """`keras.layers.SeparableConv2D`; only the pointwise kernel is pruned unless named."""

    def kernels(self, layer):
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
