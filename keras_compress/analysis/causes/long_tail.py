"""A few large values set the range of all."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.result import Cause

_FACTOR = 8.0


class LongTail(CauseFinder):
    """A range reaches eight times as far as 99.9 % of the values."""

    def find(self, statistics):
        """Return one cause for each such activation."""
        causes = []
        for tensor in statistics.activations:
            tail = tensor.observed.tail
            if tensor.range is None or tensor.is_fixed or not tail:
                continue
            reach = min(max(map(abs, tensor.range)), tensor.observed.largest)
            if reach < _FACTOR * tail:
                continue
            causes.append(
                Cause(
                    code="long_tail",
                    layer=tensor.layer,
                    bits_lost=math.log2(reach / tail),
                    message=f"The range of {tensor.layer!r} reaches to {reach:.3g}, but 99.9 % of "
                    f"its values stay within {tail:.3g}.",
                    remedy="a calibrator that clips: percentile, mse or entropy.",
                    source=statistics.source,
                )
            )
        return causes
