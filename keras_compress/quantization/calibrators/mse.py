"""The calibrator that minimizes the mean squared rounding error."""

import dataclasses

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import HistogramCalibrator
from keras_compress.quantization.histogram import Histogram

_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class Mse(HistogramCalibrator):
    """Chooses the range with the smallest mean squared rounding error.

        range = argmin E[(x - Q(x; range))**2] over fractions of the observed extremes

    The search optimizes the upper end with the lower end fixed, then the lower end, and repeats
    both once.

    Source: Sung et al. 2015, "Resiliency of deep neural networks under quantization"; Nagel et
    al. 2021, "A white paper on neural network quantization", section 3.1.

    Args:
        candidates: Number of fractions to try for each end. Default 100.

    Raises:
        InvalidArgumentError: Fewer than two candidates.

    Example:
        >>> from keras_compress.quantization.histogram import histogram
        >>> values = np.random.default_rng(0).laplace(size=100_000)
        >>> bool(4 < Mse().range(histogram(values), 4)[1] < 6 < values.max())
        True
    """

    candidates: int = 100

    def __post_init__(self):
        if self.candidates < 2:
            raise InvalidArgumentError(
                f"candidates must be 2 or more. Received: candidates={self.candidates}"
            )

    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """See `HistogramCalibrator.range`."""
        fractions = np.linspace(0, 1, self.candidates + 1)[1:]
        lowest, highest = min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)
        lower, upper = lowest, highest
        for _ in range(_ROUNDS):
            uppers = fractions * highest
            upper = uppers[histogram.error(lower, uppers, bits).argmin()]
            lowers = fractions * lowest
            lower = lowers[histogram.error(lowers, upper, bits).argmin()]
        return float(lower), float(upper)
