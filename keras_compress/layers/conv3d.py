"""Conv3D: CONV_3D, weights (depth, height, width, in, out), in float in every file."""

import keras

from keras_compress.layers.base import Kernel, LayerType


class Conv3D(LayerType):
    """`keras.layers.Conv3D`: pruned and clustered, never quantized.

    TFLite has no integer kernel of CONV_3D, and its converter leaves the weights in float.
    """

    is_quantized = False
    propagation = "conv"

    def kernels(self, layer: keras.Layer) -> tuple[Kernel, ...]:
        """See `LayerType.kernels`."""
        return (
            Kernel(
                "kernel",
                channel_axes=(4,),
                permutation=(0, 1, 2, 3, 4),
                deployed_channel_axis=4,
                input_axis=3,
            ),
        )
