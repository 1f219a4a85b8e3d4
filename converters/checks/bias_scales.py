"""A bias is added to the products as it is, so its scale is theirs."""

import numpy as np

from keras_compress.converters.checks.base import Check

# Scales are stored in float32: the product of two, computed in float32 or in double and
# rounded, may differ in the last two of 24 bits.
_RELATIVE = 4 * np.finfo(np.float32).eps


class BiasScales(Check):
    """Each bias is a wide integer with scale = input scale x weight scale and zero point 0.

    The width is 32 bits beside int8 activations and 64 bits beside int16 ones. A bias of zeros
    alone fits any scale, and the converter lets operators share one.
    """

    def run(self, evidence):
        """Return one finding for each operator whose bias does not fit its products."""
        findings = []
        for weighted in evidence.weighted():
            bias, data = weighted.bias, weighted.data
            if bias is None or data.dtype.is_float or weighted.weights.dtype.is_float:
                continue
            wanted = "int64" if data.dtype == "int16" else "int32"
            if bias.dtype != wanted:
                message = f"has a bias of type {bias.dtype}, not {wanted}."
                findings.append(weighted.finding("bias_type", message))
            elif bias.data.any() and not _fits(bias, data, weighted.weights):
                message = "has a bias whose scale is not input scale x weight scale."
                findings.append(weighted.finding("bias_scale", message))
        return findings


def _fits(bias, data, weights):
    products = data.scales.astype(np.float64) * weights.scales
    if bias.zero_points.any() or bias.scales.size != products.size:
        return False
    return np.allclose(bias.scales, products, rtol=_RELATIVE, atol=0)
