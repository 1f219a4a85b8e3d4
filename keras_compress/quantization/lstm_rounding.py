"""The grids inside TFLite's integer LSTM, and rounding to them.

Of a step, TFLite's kernels keep these values as integers: each of the two products in 16 bits with
scale 2^-12; the results of sigmoid and tanh in 16 bits with scale 2^-15; the cell state, and both
terms that it is the sum of, in 16 bits with a scale that is a power of two; the outputs in 8 bits.

Source: TFLite's 8-bit quantization specification; `lstm_eval.cc` of TFLite and of TFLite Micro.
"""

import math

import keras
from keras import ops

from keras_compress.support.types import Tensor

# The bits before the point of the 16 of a cell state, as kernels accept them.
FEWEST_INTEGER_BITS, MOST_INTEGER_BITS = 0, 6
CELL_LEVELS = 2**15
_PRODUCT_STEP = 2.0**-12
_ACTIVATION_STEP = 2.0**-15
_LARGEST = 2**15 - 1


def cell_limit(largest: float) -> float:
    """Return the end of the grid of a cell state: the next power of two, from 1 to 64.

    Args:
        largest: Largest magnitude that the cell state has.

    Example:
        >>> cell_limit(0.0), cell_limit(2.0), cell_limit(2.1), cell_limit(1000.0)
        (1.0, 2.0, 4.0, 64.0)
    """
    bits = math.ceil(math.log2(largest)) if largest > 0 else FEWEST_INTEGER_BITS
    return 2.0 ** min(max(bits, FEWEST_INTEGER_BITS), MOST_INTEGER_BITS)


def cell_limit_of(largest: Tensor) -> Tensor:
    """Return `cell_limit` of a scalar tensor, as a tensor."""
    limits = [2.0**bits for bits in range(FEWEST_INTEGER_BITS, MOST_INTEGER_BITS)]
    above = [ops.where(largest > limit, 2.0, 1.0) for limit in limits]
    return math.prod(above[1:], start=above[0])


def rounded_product(values: Tensor) -> Tensor:
    """Round products, or their sums, as the kernels do, and clip them at -8 and 8."""
    return rounded_to_16_bits(values, _PRODUCT_STEP * _LARGEST)


def rounded_activation(values: Tensor) -> Tensor:
    """Round what sigmoid and tanh give, and clip it at 1 - 2^-15."""
    return rounded_to_16_bits(values, _ACTIVATION_STEP * _LARGEST)


def cell_end(limit: Tensor) -> Tensor:
    """Return the largest value on the grid of a cell state.

    Args:
        limit: Positive scalar tensor; see `cell_limit`.
    """
    return limit * (_LARGEST / CELL_LEVELS)


def rounded_to_16_bits(values: Tensor, end: float | Tensor) -> Tensor:
    """Round to the symmetric grid of 16 bits, with a straight-through gradient inside its ends.

    Args:
        values: Float tensor.
        end: The largest value on the grid, a positive float or scalar tensor.
    """
    if keras.backend.backend() == "tensorflow":  # One operator instead of seven, in each step.
        import tensorflow as tf

        return tf.quantization.fake_quant_with_min_max_vars(
            values, -end, end, num_bits=16, narrow_range=True
        )
    step = end / _LARGEST
    inside = ops.clip(values, -end, end)
    return inside + ops.stop_gradient(ops.round(inside / step) * step - inside)
