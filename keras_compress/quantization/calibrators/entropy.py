"""The range whose rounded distribution loses the least information."""

import dataclasses

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import HistogramCalibrator
from keras_compress.quantization.histogram import Histogram


@dataclasses.dataclass(frozen=True)
class Entropy(HistogramCalibrator):
    """Chooses the range whose rounded distribution loses the least information.

        threshold = argmin KL(P || Q) over thresholds of the magnitudes

    P is the distribution of |x| up to a threshold; its last bin also counts all values beyond. Q
    is the part below the threshold, merged into the levels of the grid and spread again over the
    non-empty bins of P. The range extends to the threshold at both ends, but never beyond the
    observed extremes.

    Source: Migacz 2017, "8-bit inference with TensorRT".

    Args:
        candidates: Number of thresholds to try. Default 128.

    Raises:
        InvalidArgumentError: Fewer than two candidates.

    Example:
        >>> from keras_compress.quantization.histogram import histogram
        >>> values = np.append(np.random.default_rng(0).laplace(size=100_000), 100.0)
        >>> lower, upper = Entropy().range(histogram(values), 8)
        >>> bool(5 < upper < 20)
        True
    """

    candidates: int = 128

    def __post_init__(self):
        if self.candidates < 2:
            raise InvalidArgumentError(
                f"candidates must be 2 or more. Received: candidates={self.candidates}"
            )

    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """See `HistogramCalibrator.range`."""
        if bits == 16:
            return min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)
        counts = histogram.magnitudes.astype(np.float64)
        # Zeros are exact on every grid, and after a ReLU they would outweigh everything else.
        counts[0] = counts[1]
        used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else len(counts)
        levels = 2**bits if histogram.minimum >= 0 else 2 ** (bits - 1)
        levels = min(levels, used)
        ends = np.unique(np.linspace(levels, used, self.candidates).astype(int))
        best = min(ends, key=lambda end: _divergence(counts, end, levels))
        threshold = best * histogram.width
        return max(-threshold, min(histogram.minimum, 0.0)), min(
            threshold, max(histogram.maximum, 0.0)
        )


def _divergence(counts, end, levels):
    """Return KL(P || Q) for the threshold at the upper edge of bin `end` - 1."""
    inside = counts[:end]
    reference = inside.copy()
    reference[-1] += counts[end:].sum()
    starts = np.arange(levels) * end // levels
    filled = (inside > 0).astype(np.float64)
    mass, n_filled = np.add.reduceat(inside, starts), np.add.reduceat(filled, starts)
    lengths = np.diff(np.append(starts, end))
    spread = np.repeat(mass / np.maximum(n_filled, 1), lengths) * filled
    if not spread.sum():
        return np.inf
    p, q = reference / reference.sum(), spread / spread.sum()
    # Where Q is zero it counts as tiny, so that the sum stays finite.
    nonzero = p > 0
    return float((p[nonzero] * np.log(p[nonzero] / np.maximum(q[nonzero], 1e-12))).sum())
