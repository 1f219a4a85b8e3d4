"""How often one sample multiplies with a weight.

    MACs of a layer = weights of its kernels * times that one sample multiplies with each

`LayerType.macs` counts a layer, `shrinking.channels.Cost` a layer some of whose channels are gone,
and `tflite.macs` an operator of the file.
"""

import math


def positions(shape: tuple, channel_axis: int = -1) -> int:
    """Count the positions of one sample: what is left without the batch and the channels.

    Args:
        shape: Shape of a tensor, with the batch. Axes of free size (`None`) count as 1.
        channel_axis: Its axis of channels. Default: the last.

    Returns:
        The number of positions.

    Example:
        >>> positions((None, 8, 8, 3)), positions((None, 3, 8, 8), channel_axis=1)
        (64, 64)
    """
    channels = channel_axis % len(shape)
    return math.prod(shape[i] or 1 for i in range(1, len(shape)) if i != channels)
