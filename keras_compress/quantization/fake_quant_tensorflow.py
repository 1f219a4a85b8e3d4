"""Fake quantization with TensorFlow's kernels and gradients of few passes over the data."""

import tensorflow as tf

from keras_compress.support.types import Tensor


def rounded_weights(
    weights: Tensor, scale: Tensor, limit: float | Tensor, edge: Tensor, branches: bool = False
) -> Tensor:
    """Round weights to a symmetric grid.

        y = clip(round(w / scale), -limit, limit) * scale
        dy/dw = 1 where |w| <= edge, else 0

    With small batches, weights are most of the data of a training step, and each operation is one
    pass over them. In most steps no weight is clipped, as the largest weights show. Three passes
    are left then, beside the two that look for the largest.

    Args:
        weights: Float tensor.
        scale: Step of the grid, broadcastable to `weights`, positive.
        limit: The largest integer of the grid.
        edge: Tensor of the shape of `scale`, the largest magnitude that has a gradient. It has the
            gradient of an end at which weights are clipped.
        branches: Whether to branch, so that nothing is clipped where nothing needs to be.

    Returns:
        Tensor of the same shape.
    """
    weights = tf.convert_to_tensor(weights)
    edge = tf.cast(edge, weights.dtype)
    clips = tf.reduce_any(_largest(weights, edge) > edge) if branches else True

    @tf.custom_gradient
    def rounded(weights, edge):
        integers = tf.round(weights / scale)
        clipped = _either(
            clips,
            lambda: tf.raw_ops.ClipByValue(t=integers, clip_value_min=-limit, clip_value_max=limit),
            lambda: integers,
        )

        def gradient(upstream):
            passed = _either(
                clips,
                lambda: tf.where(tf.abs(weights) <= edge, upstream, 0.0),
                lambda: upstream,
            )
            return passed, _summed((upstream - passed) * tf.sign(weights), edge)

        # Adding 0 turns -0 into 0, which kc.strip hands out. Functions are compiled without it.
        return clipped * scale + 0.0, gradient

    return rounded(weights, edge)


def _either(condition, then, otherwise):
    """Return the result of one of two functions, in Python if the condition is `True`."""
    return then() if condition is True else tf.cond(condition, then, otherwise)


def _largest(weights, edge):
    """Return the largest magnitude among the weights that share an edge."""
    axes = [axis for axis, size in enumerate(edge.shape) if size == 1]
    return tf.reduce_max(tf.abs(weights), axes, keepdims=True)


def _summed(gradient, operand):
    """Sum the gradient of a broadcast operand to the operand's shape."""
    shape = tf.shape(operand)
    axes = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient)).r0
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)


def rounded_activations(
    inputs: Tensor,
    minimum: Tensor,
    maximum: Tensor,
    bits: int,
    passing: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Round activations in one pass over the data, with an operator that the converter reads.

    Args:
        inputs: Float tensor.
        minimum: Lower end of the range, scalar tensor, 0 or less.
        maximum: Upper end of the range, larger than the lower one.
        bits: Width, 2 to 8, or 16.
        passing: The least and the largest input that has a gradient, for a gradient of one pass.
            The ends of the range then have none, and XLA cannot compile the step. `None` for
            TensorFlow's own gradient.

    Returns:
        Tensor of the same shape and dtype.
    """

    def rounded(values):
        return tf.quantization.fake_quant_with_min_max_vars(
            values, minimum, maximum, num_bits=bits, narrow_range=bits == 16
        )

    @tf.custom_gradient
    def rounded_between(values):
        return rounded(values), lambda upstream: _inside(upstream, values, least, largest)

    values = tf.cast(inputs, "float32")
    if passing is None:
        return tf.cast(rounded(values), inputs.dtype)
    least, largest = passing
    return tf.cast(rounded_between(values), inputs.dtype)


def _inside(upstream, values, least, largest):
    """Return the gradient where values lie between two ends, and zero elsewhere."""
    return tf.raw_ops.QuantizeAndDequantizeV4Grad(
        gradients=upstream, input=values, input_min=least, input_max=largest, axis=-1
    )[0]
