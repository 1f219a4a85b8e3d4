"""What a BatchNormalization does to each channel, for folding into the kernel before it."""

from keras import ops


def batch_norm_affine(norm):
    """Return what a BatchNormalization does at inference as (factor, shift) of each channel.

    factor = gamma / sqrt(variance + epsilon), shift = beta - mean * factor

    Args:
        norm: A built `BatchNormalization`.

    Returns:
        Two tensors of one value a channel.
    """
    factor = 1.0 / ops.sqrt(ops.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma
    shift = -norm.moving_mean * factor
    return factor, shift + norm.beta if norm.center else shift
