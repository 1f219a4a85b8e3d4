"""Weights are symmetric about zero, as every integer kernel takes for granted."""

import numpy as np

from keras_compress.converters.checks.base import Check


class SymmetricWeights(Check):
    """Integer weights have zero point 0 and finite scales above 0, and int8 leaves out -128.

    Source: TFLite's 8-bit quantization specification.
    """

    def run(self, evidence):
        """Return one finding for each operator whose weights are not symmetric."""
        findings = []
        for weighted in evidence.weighted():
            weights = weighted.weights
            if weights.dtype.is_float:
                continue
            if weights.zero_points.any():
                findings.append(weighted.finding("asymmetric_weights", _zero_points(weights)))
            if not (np.isfinite(weights.scales) & (weights.scales > 0)).all():
                findings.append(
                    weighted.finding("weight_scale", "has a weight scale that is not above 0.")
                )
            if weights.dtype == "int8" and weights.data.min(initial=0) == -128:
                findings.append(
                    weighted.finding("wide_range", "has weights of -128, which int8 leaves out.")
                )
        return findings


def _zero_points(weights):
    found = np.unique(weights.zero_points[weights.zero_points != 0])
    return f"has weight zero points other than 0: {found[:5].tolist()}."
