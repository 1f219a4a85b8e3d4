"""How integer kernels rescale an accumulator, or a tensor, to the grid of the output."""

import math

from keras import ops

from keras_compress.support.types import Tensor


def rounded_twice(
    values: Tensor, accumulator_step: Tensor, output_step: Tensor, *, away: bool = False
) -> Tensor:
    """Round values as kernels do that rescale an accumulator in two steps.

        M = accumulator_step / output_step = m * 2^-n,  m in [1/2, 1)
        result = round(round(accumulator * m) / 2^n)

    The inner rounding is to integers, that is, to multiples of 2^-n in units of the output's step.
    The outer rounding is left to the quantizer that follows. It rounds ties up, as LiteRT's default
    kernels do (the reference kernels and TFLite Micro round them away from zero, which differs only
    for negative results). With 8-bit weights n is about 9 and the inner rounding has no visible
    effect. Steps of 4-bit weights are sixteen times as wide, n is about 5, and every 64th result
    differs.

    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", section 2.2 and appendix B; measured with LiteRT 2.

    Args:
        values: Float tensor (..., channels): accumulators times `accumulator_step`.
        accumulator_step: Tensor (channels,): step of the input times that of the kernel.
        output_step: Scalar tensor; zero while the output is not rounded.
        away: Whether ties are rounded away from zero, as BATCH_MATMUL and the reference kernels do.

    Returns:
        Tensor of the same shape: values on the inner grid, shifted by a quarter of its step.
    """
    usable = (accumulator_step > 0) & (output_step > 0)
    ratio = ops.where(usable, accumulator_step / ops.where(output_step > 0, output_step, 1.0), 1.0)
    exponent = ops.floor(ops.log(ratio) / math.log(2.0)) + 1.0
    inner = ops.cast(output_step * ops.power(2.0, exponent), values.dtype)
    usable = ops.cast(usable & (exponent < 0), values.dtype)
    inner = ops.where(usable > 0, inner, ops.ones_like(inner))
    # A quarter of an inner step moves a value off a tie without reaching the next one.
    side = ops.where(values < 0, -1.0, 1.0) if away else 1.0
    rounded = side * (ops.floor(side * values / inner + 0.5) + 0.25) * inner
    return values + ops.stop_gradient(usable * (rounded - values))


def rescaled_in_8_bits(values: Tensor, step: Tensor, output_step: Tensor) -> Tensor:
    """Move values of one grid to where XNNPACK's QUANTIZE puts them on another.

        m = round(256 * step / output_step)
        result = floor((q * m + 128) / 256)

    The factor has only eight bits after the point, so a result may be off by a quarter of a step
    before it is rounded: of two grids of about the same step, up to a fourth of the integers differ
    from those of exact arithmetic. LiteRT's own kernels and TFLite Micro compute it exactly.

    Source: XNNPACK, `xnn_init_qs8_cvt_scalar_params`; measured with LiteRT 2.3.

    Args:
        values: Float tensor, multiples of `step`.
        step: Scalar tensor, step of the grid of the values; zero while they are not rounded.
        output_step: Scalar tensor, step of the other grid; zero while it is not used.

    Returns:
        Tensor of the same shape: values that the quantizer behind it rounds to the same integers,
        unchanged for steps whose ratio XNNPACK leaves to LiteRT (below 2^-8 or above 2^7).

    Example:
        >>> values = rescaled_in_8_bits(np.float32([100.0]), 1.0, 3.0)
        >>> round(float(values[0]) / 3.0, 3)
        33.204
    """
    values = ops.convert_to_tensor(values)
    step, output_step = (ops.convert_to_tensor(s, "float32") for s in (step, output_step))
    known = (step > 0) & (output_step > 0)
    ratio = ops.where(known, step / ops.where(output_step > 0, output_step, 1.0), 1.0)
    usable = known & (ratio >= _LEAST_RATIO) & (ratio <= _LARGEST_RATIO)
    factor = ops.where(usable, ops.round(ratio * _UNITS) / (_UNITS * ratio), 1.0)
    # A quarter of the factor's last digit moves a value off a tie, upwards.
    shift = ops.where(usable, output_step / (4 * _UNITS), 0.0)
    factor, shift = (ops.cast(ops.stop_gradient(each), values.dtype) for each in (factor, shift))
    return values * factor + shift


_UNITS = 256.0
_LEAST_RATIO, _LARGEST_RATIO = 2.0**-8, 2.0**7
