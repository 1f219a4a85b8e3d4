"""A range much wider than the values in use."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.result import Cause

_FACTOR = 4.0


class UnusedRange(CauseFinder):
    """An inner activation fills less than a quarter of its range."""

    def find(self, statistics):
        """Return one cause for each such activation."""
        causes = []
        for tensor in statistics.activations:
            if tensor.range is None or tensor.is_fixed or tensor.is_input:
                continue
            width, used = tensor.range[1] - tensor.range[0], tensor.observed.span
            if not used or width < _FACTOR * used:
                continue
            causes.append(
                Cause(
                    code="unused_range",
                    layer=tensor.layer,
                    bits_lost=math.log2(width / used),
                    message=f"The range of {tensor.layer!r} ({tensor.range[0]:.3g} to "
                    f"{tensor.range[1]:.3g}) is {width / used:.0f} times as wide as its values.",
                    remedy="calibrate with data like those in use.",
                    source=statistics.source,
                )
            )
        return causes
