"""How integer kernels rescale an accumulator to the grid of the output."""

import math

from keras import ops

from keras_compress.support.types import Tensor


def rounded_twice(values: Tensor, accumulator_step: Tensor, output_step: Tensor) -> Tensor:
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
    rounded = (ops.floor(values / inner + 0.5) + 0.25) * inner
    return values + ops.stop_gradient(usable * (rounded - values))
