"""Fake quantization: the rounding of the integer file, in floating point, with gradients.

    q = clip(round(x / scale) + zero_point, q_min, q_max)
    y = (q - zero_point) * scale                                      (Jacob et al. 2018, section 3)

Gradients pass straight through the rounding and are zero outside the range (Bengio et al.
2013). The grids are those of TFLite. Weights are symmetric with a narrow range (-127 … 127 at 8
bits, zero point 0). Activations are asymmetric at up to 8 bits and symmetric at 16.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator

import keras
from keras import ops

from keras_compress.support.types import Tensor

_NARROWEST, _WIDEST = 2, 8
# Whether TensorFlow functions may branch on data while they round weights.
_BRANCHES = contextvars.ContextVar("branches", default=False)


@contextlib.contextmanager
def branches(allowed: bool) -> Iterator[None]:
    """Let functions that are traced inside branch around the clipping of weights.

    On a CPU the branch is cheaper than the passes over the weights. A GPU would have to wait for
    the condition, and XLA computes all passes as one anyway.

    Args:
        allowed: Whether they may.
    """
    token = _BRANCHES.set(allowed)
    try:
        yield
    finally:
        _BRANCHES.reset(token)


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
    if keras.backend.backend() == "tensorflow":
        from keras_compress.quantization.fake_quant_tensorflow import rounded_weights

        may_branch = _BRANCHES.get() and math.prod(weights.shape) >= _WORTH_A_BRANCH
        return rounded_weights(weights, scale, limit, edge, may_branch)
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
    return _grid(_at_most_zero(minimum), ops.maximum(maximum, 0.0), bits)


def _at_most_zero(minimum):
    """Return a lower end that includes zero; a number, if that is known without computing it."""
    if isinstance(minimum, int | float):
        return min(float(minimum), 0.0)
    return ops.minimum(minimum, 0.0)


def _grid(minimum, maximum, bits):
    """Return the grid of a range that includes zero; see `activation_grid`."""
    if bits == 16:
        limit = float(weight_limit(bits))
        scale = ops.maximum(ops.maximum(maximum, -minimum) / limit, _TINY)
        return scale, ops.zeros_like(scale), -limit, limit
    levels = float(2**bits - 1)
    scale = ops.maximum((maximum - minimum) / levels, _TINY)
    if isinstance(minimum, float) and minimum == 0:
        return scale, 0.0, 0.0, levels
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
        from keras_compress.quantization.fake_quant_tensorflow import rounded_activations

        low, high = _with_zero_inside(minimum, maximum, bits)
        passing = _passing_ends(low, high, bits) if single_pass else None
        return rounded_activations(inputs, low, high, bits, passing)
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


def _with_zero_inside(minimum, maximum, bits):
    """Return the ends of a range that includes zero and is not empty; symmetric at 16 bits."""
    if bits == 16:
        maximum = ops.maximum(ops.maximum(maximum, -minimum), _TINY)
        return -maximum, maximum
    minimum = _at_most_zero(minimum)
    maximum = ops.maximum(maximum, minimum + _TINY)
    if isinstance(minimum, float) and minimum == 0:
        return minimum, maximum
    return minimum, ops.maximum(maximum, 0.0)


def _passing_ends(minimum, maximum, bits):
    """Return the least and the largest value that has a gradient: the ends of the grid."""
    scale, zero_point, q_min, q_max = _grid(minimum, maximum, bits)
    # A value on an end counts as inside, whatever the rounding error of that end.
    padded_scale = scale * (1.0 + _EDGE)
    return (q_min - zero_point) * padded_scale, (q_max - zero_point) * padded_scale


# Number of weights from which on three passes take longer than a branch, about 20 us on x86-64.
_WORTH_A_BRANCH = 2**14
_TINY = 1e-8
_EDGE = 1e-6
