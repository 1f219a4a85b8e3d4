"""Values beyond the range are clipped to its end."""

import math

from keras_compress.analysis.causes.base import CauseFinder
from keras_compress.analysis.result import Cause

_FEWEST = 1e-4
_LEAST_BITS = 0.5


class Saturation(CauseFinder):
    """Clipping adds more noise to an activation than rounding does.

    With `c` the mean squared clipping error and `s` the step, rounding alone has the noise
    s^2 / 12, and the loss is log2(1 + 12 c / s^2) / 2 bits.
    """

    def find(self, statistics):
        """Return one cause for each such activation."""
        causes = []
        for tensor in statistics.activations:
            if not tensor.saturated or tensor.saturated < _FEWEST or not tensor.step:
                continue
            bits = math.log2(1 + 12 * tensor.clipping.mse / tensor.step**2) / 2
            if bits < _LEAST_BITS:
                continue
            causes.append(
                Cause(
                    code="saturation",
                    layer=tensor.layer,
                    bits_lost=bits,
                    message=f"{tensor.saturated:.2%} of the values of {tensor.layer!r} lie outside "
                    f"its range ({tensor.range[0]:.3g} to {tensor.range[1]:.3g}) and are clipped; "
                    f"they reach from {tensor.observed.minimum:.3g} to "
                    f"{tensor.observed.maximum:.3g}.",
                    remedy="more calibration samples, or the min_max calibrator.",
                    source=statistics.source,
                )
            )
        return causes
