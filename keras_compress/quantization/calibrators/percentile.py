"""The calibrator that leaves a given fraction of the values outside the range."""

import dataclasses

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import HistogramCalibrator
from keras_compress.quantization.histogram import Histogram


@dataclasses.dataclass(frozen=True)
class Percentile(HistogramCalibrator):
    """Leaves a given fraction of the values at each end outside the range.

        range = (quantile(1 - p), quantile(p)),  p = percentile / 100

    Source: Wu et al. 2020, "Integer quantization for deep learning inference", section 3.2.

    Args:
        percentile: Percentile of the values for each end, in (50, 100]. Default 99.99.

    Raises:
        InvalidArgumentError: A percentile outside (50, 100].

    Example:
        >>> from keras_compress.quantization.histogram import histogram
        >>> round(Percentile(99.0).range(histogram(np.linspace(0, 1, 10_001)), 8)[1], 2)
        0.99
    """

    percentile: float = 99.99

    def __post_init__(self):
        if not 50 < self.percentile <= 100:
            raise InvalidArgumentError(
                "percentile must lie above 50 and be at most 100. "
                f"Received: percentile={self.percentile}"
            )

    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """See `HistogramCalibrator.range`."""
        fraction = self.percentile / 100
        lower, upper = histogram.quantile(1 - fraction), histogram.quantile(fraction)
        return min(lower, 0.0), max(upper, 0.0)
