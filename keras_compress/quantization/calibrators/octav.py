"""The calibrator that balances rounding noise against clipping noise, by Newton's method."""

import dataclasses

import numpy as np

from keras_compress.quantization.calibrators.base import HistogramCalibrator
from keras_compress.quantization.histogram import Histogram

_ITERATIONS = 50


@dataclasses.dataclass(frozen=True)
class Octav(HistogramCalibrator):
    """Chooses the range that minimizes the sum of rounding noise and clipping noise.

        step**2 / 12 * P(inside) + E[(x - clip(x))**2],  step = (hi - lo) / (2**bits - 1)

    Each end is found by iterating the fixed point where its derivative is zero, with
    c = 1 / (12 * levels**2):

        hi = (E[x; x > hi] + lo * c * P(inside)) / (c * P(inside) + P(x > hi))

    For lo = 0 this is the source's iteration for unsigned data.

    Source: Sakr et al. 2022, "Optimal clipping and magnitude-aware differentiation for improved
    quantization-aware training" (OCTAV), section 3.

    Example:
        >>> from keras_compress.quantization.histogram import histogram
        >>> values = np.random.default_rng(0).normal(size=100_000)
        >>> lower, upper = Octav().range(histogram(values), 4)
        >>> round(float(upper), 1), round(float(lower), 1)
        (2.5, -2.5)
    """

    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """See `HistogramCalibrator.range`."""
        values, weights = histogram.centers, histogram.weights
        inside_cost = 1 / (12 * (2.0**bits - 1) ** 2)
        # Newton's method converges from below, so it starts where many values are clipped.
        lower = min(histogram.quantile(0.1), 0.0)
        upper = max(histogram.quantile(0.9), 0.0)
        for _ in range(_ITERATIONS):
            previous = lower, upper
            upper = _end(values, weights, upper, lower, inside_cost, values > 0)
            lower = -_end(-values, weights, -lower, -upper, inside_cost, values < 0)
            if np.allclose(previous, (lower, upper), rtol=1e-5, atol=0):
                break
        return max(lower, min(histogram.minimum, 0.0)), min(upper, max(histogram.maximum, 0.0))


def _end(values, weights, end, other, inside_cost, side):
    if not side.any():
        return 0.0
    beyond = side & (values > end)
    inside = weights[(values <= end) & (values >= other)].sum() * inside_cost
    tail = weights[beyond].sum()
    if inside + tail == 0:
        return end
    return max(((values * weights)[beyond].sum() + other * inside) / (inside + tail), 0.0)
