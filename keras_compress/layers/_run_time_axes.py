"""The axes over which LiteRT finds the range of an input that is quantized at run time."""

import keras


def of_samples(rank: int) -> tuple[int, ...]:
    """Return the axes of one sample in a tensor of a given rank: all but the first."""
    return tuple(range(1, rank))


def of_convolution(layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...]:
    """Return the axes for a Conv1D or Conv2D.

    XNNPACK runs a 1 x 1 convolution with stride 1 as a matrix product, with one range per row. It
    has no such kernel for packed weights. Other convolutions use one range per sample. Measured
    with LiteRT 2.3.

    Args:
        layer: The built layer.
        rank: Rank of its input.
        packed: Whether two weights are stored in each byte.
    """
    is_product = {*layer.kernel.shape[:-2], *layer.strides} == {1} and layer.groups == 1
    return (rank - 1,) if is_product and not packed else of_samples(rank)
