"""Check that weights and biases lie on the grids that integer kernels assume."""

from collections.abc import Iterator

import numpy as np

from keras_compress.converters.checks.base import Check, EmittedFile, WeightedOperator
from keras_compress.support.findings import Finding

# Scales are stored in float32: the product of two, computed in float32 or in double and
# rounded, may differ in the last two of 24 bits.
_RELATIVE = 4 * np.finfo(np.float32).eps


class WeightGrids(Check):
    """Integer weights are symmetric, with one scale per channel, and biases have matching scales.

    - Weights have zero point 0 and finite scales above 0, and int8 weights are never -128.
    - They have one scale for each output channel, on the channel axis, or a single one, as was
      requested. The axis is 0 for convolutions and Dense layers, 3 for depthwise ones.
    - A bias is a wide integer with scale = input scale x weight scale and zero point 0. It has 32
      bits with int8 activations and 64 with int16 ones. A bias of zeros fits any scale, and the
      converter lets operators share one.

    Source: TFLite's 8-bit quantization specification.
    """

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return findings for operators whose weights or bias lie on another grid."""
        integer = [w for w in emitted.weighted() if not w.weights.dtype.is_float]
        findings = [finding for weighted in integer for finding in _asymmetric(weighted)]
        if emitted.options.has_integer_weights:
            findings += [f for weighted in integer for f in _wrong_axis(weighted, emitted.options)]
        return findings + [finding for weighted in integer for finding in _wrong_bias(weighted)]


def _asymmetric(weighted: WeightedOperator) -> Iterator[Finding]:
    weights = weighted.weights
    others = np.unique(weights.zero_points[weights.zero_points != 0])
    if others.size:
        message = f"has weight zero points other than 0: {others[:5].tolist()}."
        yield weighted.finding("asymmetric_weights", message)
    if not (np.isfinite(weights.scales) & (weights.scales > 0)).all():
        yield weighted.finding("weight_scale", "has a weight scale that is not above 0.")
    if weights.dtype == "int8" and weights.data.min(initial=0) == -128:
        yield weighted.finding("wide_range", "has weights of -128; symmetric int8 begins at -127.")


def _wrong_axis(weighted: WeightedOperator, options) -> Iterator[Finding]:
    weights = weighted.weights
    per_channel = options.per_channel_dense if weighted.is_dense else options.per_channel
    channels = weights.shape[weighted.axis] if per_channel else 1
    axis = weighted.axis if channels > 1 else None
    if weights.scales.size != channels or weights.axis != axis:
        scales = f"{weights.scales.size} weight scales on axis {weights.axis}"
        yield weighted.finding("channel_axis", f"has {scales}, not {channels} on {axis}.")


def _wrong_bias(weighted: WeightedOperator) -> Iterator[Finding]:
    bias, data = weighted.bias, weighted.data
    if bias is None or data.dtype.is_float:
        return
    dtype = "int64" if data.dtype == "int16" else "int32"
    if bias.dtype != dtype:
        yield weighted.finding("bias_type", f"has a bias of type {bias.dtype}, not {dtype}.")
    elif bias.data.any() and not _fits(bias, data, weighted.weights):
        message = "has a bias whose scale is not the input scale x the weight scale."
        yield weighted.finding("bias_scale", message)


def _fits(bias, data, weights) -> bool:
    products = data.scales.astype(np.float64) * weights.scales
    if bias.zero_points.any() or bias.scales.size != products.size:
        return False
    return np.allclose(bias.scales, products, rtol=_RELATIVE, atol=0)
