"""Calibration data of another scale than the data in use."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.result import Cause

_FACTOR = 4.0


class CalibrationMismatch(CauseFinder):
    """An input's range is four times as wide as the data's, or a quarter of it."""

    def find(self, statistics):
        """Return one cause for each such input."""
        causes = []
        for tensor in statistics.activations:
            if not tensor.is_input or tensor.range is None or not tensor.observed.span:
                continue
            width = tensor.range[1] - tensor.range[0]
            ratio = width / tensor.observed.span
            if 1 / _FACTOR < ratio < _FACTOR:
                continue
            causes.append(
                Cause(
                    code="calibration_mismatch",
                    layer=tensor.layer,
                    bits_lost=abs(math.log2(ratio)),
                    message=f"Input {tensor.layer!r} was calibrated for values from "
                    f"{tensor.range[0]:.3g} to {tensor.range[1]:.3g}, and the data reach from "
                    f"{tensor.observed.minimum:.3g} to {tensor.observed.maximum:.3g}.",
                    remedy="calibrate with samples scaled as the model was trained and is used.",
                    source=statistics.source,
                )
            )
        return causes
