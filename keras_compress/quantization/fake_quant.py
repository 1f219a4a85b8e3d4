"""Fake quantization: the rounding of the integer file, in floating point, with gradients.

    q = clip(round(x / scale) + zero_point, q_min, q_max)
    y = (q - zero_point) * scale                                      (Jacob et al. 2018, section 3)

Gradients pass straight through the rounding and are zero outside the range (Bengio et al.
2013). The grids are those of TFLite. Weights are symmetric with a narrow range (-127 … 127 at 8
bits, zero point 0). Activations are asymmetric at up to 8 bits and symmetric at 16.
"""

import keras
from keras import ops

from keras_compress.support.types import Tensor

_NARROWEST, _WIDEST = 2, 8


def weight_limit(bits: int) -> int:
    """Return the largest integer of the symmetric narrow-range grid: 2**(bits - 1) - 1."""
    return 2 ** (bits - 1) - 1


def grid_limit(bits: int | Tensor) -> float | Tensor:
    """Return `weight_limit(bits)` to compute with; for a width that is a tensor, a tensor.

    Args:
        bits: Width, 2 to 8.

    Example:
        >>> grid_limit(4), float(grid_limit(ops.convert_to_tensor(4)))
        (7.0, 7.0)
    """
    if isinstance(bits, int):
        return float(weight_limit(bits))
    # A table, because a power of floats may be wrong in the last bit.
    limits = [weight_limit(width) for width in range(_NARROWEST, _WIDEST + 1)]
    return ops.take(ops.convert_to_tensor(limits, "float32"), bits - _NARROWEST)


def fake_quantize_weights(weights: Tensor, scale: Tensor, bits: int | Tensor) -> Tensor:
    """Round weights to a symmetric narrow-range grid, with a straight-through gradient.

    Args:
        weights: Float tensor.
        scale: Step of the grid, broadcastable to `weights`, positive.
        bits: Width, 2 to 8.

    Returns:
        Tensor of the same shape, on the grid.

    Example:
        >>> fake_quantize_weights(np.array([0.26, -1.0], "float32"), 0.5, 2).numpy().tolist()
        [0.5, -0.5]
    """
    limit = grid_limit(bits)
    # A scale computed from the largest weight puts that weight on the edge. The margin keeps its
    # gradient from depending on the rounding error of limit * scale.
    edge = limit * scale * (1.0 + _EDGE)
    inside = ops.clip(weights, -edge, edge)
    rounded = ops.clip(ops.round(inside / scale), -limit, limit) * scale
    return inside + ops.stop_gradient(rounded - inside)


def activation_grid(
    minimum: Tensor, maximum: Tensor, bits: int
) -> tuple[Tensor, Tensor, float, float]:
    """Return the grid that TFLite uses for a range.

    The range is widened to include zero and shifted so that zero is a grid point. At 16 bits the
    grid is symmetric.

    Args:
        minimum: Lower end, a float or scalar tensor.
        maximum: Upper end.
        bits: Width, 2 to 8, or 16.

    Returns:
        Tuple (scale, zero_point, q_min, q_max) with zero_point in [q_min, q_max].
    """
    minimum = ops.minimum(minimum, 0.0)
    maximum = ops.maximum(maximum, 0.0)
    if bits == 16:
        limit = float(weight_limit(bits))
        scale = ops.maximum(ops.maximum(maximum, -minimum) / limit, _TINY)
        return scale, ops.zeros_like(scale), -limit, limit
    levels = float(2**bits - 1)
    scale = ops.maximum((maximum - minimum) / levels, _TINY)
    zero_point = ops.clip(ops.round(-minimum / scale), 0.0, levels)
    return scale, zero_point, 0.0, levels


def fake_quantize_activations(
    inputs: Tensor, minimum: Tensor, maximum: Tensor, bits: int, single_pass: bool = False
) -> Tensor:
    """Round activations to the grid of a range, with a straight-through gradient inside it.

    Args:
        inputs: Float tensor.
        minimum: Lower end of the range, scalar tensor.
        maximum: Upper end of the range.
        bits: Width, 2 to 8, or 16.
        single_pass: Whether to compute the gradient in one pass over the data, which is faster
            than TensorFlow's own. The ends of the range then have no gradient, and XLA cannot
            compile the step.

    Returns:
        Tensor of the same shape and dtype, on the grid.
    """
    if keras.backend.backend() == "tensorflow":
        return _fused(inputs, minimum, maximum, bits, single_pass)
    scale, zero_point, q_min, q_max = activation_grid(minimum, maximum, bits)
    inside = ops.clip(inputs, (q_min - zero_point) * scale, (q_max - zero_point) * scale)
    quantized = ops.clip(ops.round(inside / scale) + zero_point, q_min, q_max)
    return inside + ops.stop_gradient((quantized - zero_point) * scale - inside)


def ties_away_from_zero(inputs: Tensor, minimum: Tensor, maximum: Tensor, bits: int) -> Tensor:
    """Move values off the midpoints of a grid, to the side to which AVERAGE_POOL_2D rounds.

    Means of a few integers often lie exactly between two integers. TFLite's operator rounds these
    ties away from integer zero; the fake quantizer rounds all of them up.

    Args:
        inputs: Float tensor of means.
        minimum: Lower end of the range, scalar tensor.
        maximum: Upper end of the range.
        bits: Width, 8 or 16.

    Returns:
        Tensor of the same shape, shifted by a ten-thousandth of a step.
    """
    scale, zero_point, _, q_max = activation_grid(minimum, maximum, bits)
    middle = 0.0 if bits == 16 else (q_max + 1) / 2
    side = ops.sign(inputs + (zero_point - middle) * scale)
    return inputs + ops.stop_gradient(1e-4 * scale * side)


def _fused(inputs, minimum, maximum, bits, single_pass):
    """Round with TensorFlow's kernel: one pass over the data, and its converter reads it."""
    import tensorflow as tf

    if bits == 16:
        maximum = ops.maximum(ops.maximum(maximum, -minimum), _TINY)
        minimum = -maximum
    else:
        minimum = ops.minimum(minimum, 0.0)
        maximum = ops.maximum(maximum, minimum + _TINY)
        maximum = ops.maximum(maximum, 0.0)

    def rounded(values):
        return tf.quantization.fake_quant_with_min_max_vars(
            values, minimum, maximum, num_bits=bits, narrow_range=bits == 16
        )

    @tf.custom_gradient
    def rounded_in_a_given_range(values):
        return rounded(values), lambda upstream: _inside(upstream, values, minimum, maximum, bits)

    outputs = (rounded_in_a_given_range if single_pass else rounded)(ops.cast(inputs, "float32"))
    return ops.cast(outputs, inputs.dtype)


def _inside(upstream, values, minimum, maximum, bits):
    """Return the gradient where values lie between the ends of the grid, and zero elsewhere."""
    import tensorflow as tf

    scale, zero_point, q_min, q_max = activation_grid(minimum, maximum, bits)
    # A value on an end counts as inside, whatever the rounding error of that end.
    padded_scale = scale * (1.0 + _EDGE)
    return tf.raw_ops.QuantizeAndDequantizeV4Grad(
        gradients=upstream,
        input=values,
        input_min=(q_min - zero_point) * padded_scale,
        input_max=(q_max - zero_point) * padded_scale,
        axis=-1,
    )[0]


_TINY = 1e-8
_EDGE = 1e-6
