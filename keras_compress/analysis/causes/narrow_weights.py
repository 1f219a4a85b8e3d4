"""Weights of few bits that are far from the float ones."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.result import Cause

_LEAST_DB = 20.0


class NarrowWeights(CauseFinder):
    """The stored weights of a layer with fewer than 8 bits have an SQNR below 20 dB."""

    def find(self, statistics):
        """Return one cause for each such kernel."""
        causes = []
        for kernel in statistics.weights:
            ratio = kernel.error.sqnr_db
            if kernel.bits >= 8 or ratio is None or ratio >= _LEAST_DB:
                continue
            causes.append(
                Cause(
                    code="narrow_weights",
                    layer=kernel.layer,
                    bits_lost=math.log2(127 / (2 ** (kernel.bits - 1) - 1)),
                    message=f"The {kernel.bits}-bit weights of {kernel.layer!r} have an SQNR of "
                    f"{ratio:.1f} dB.",
                    remedy="kc.round_weights, the quantizer least_squares, or more bits for this "
                    "layer, which kc.assign_bits finds.",
                    source=statistics.source,
                )
            )
        return causes
