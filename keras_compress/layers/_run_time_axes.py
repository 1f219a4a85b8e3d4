"""Over which values LiteRT takes the extremes of a grid that is found at run time."""

import keras


def of_samples(rank: int) -> tuple[int, ...]:
    """Return the axes of a sample of a tensor of a rank: all but the first."""
    return tuple(range(1, rank))


def of_convolution(layer: keras.Layer, rank: int, packed: bool) -> tuple[int, ...]:
    """Return the axes for a Conv1D or Conv2D.

    A convolution of one place and stride is a product of rows to XNNPACK, which has no kernel for
    packed weights; other ones take whole samples. Measured with LiteRT 2.3.

    Args:
        layer: The layer, built.
        rank: Rank of its input.
        packed: Whether its weights are stored two to a byte.
    """
    is_product = {*layer.kernel.shape[:-2], *layer.strides} == {1} and layer.groups == 1
    return (rank - 1,) if is_product and not packed else of_samples(rank)
