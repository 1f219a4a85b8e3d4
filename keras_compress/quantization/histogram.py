"""The distribution of a tensor's values, as a histogram over their whole range."""

import dataclasses
import functools

import numpy as np
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True, eq=False)
class Histogram:
    """Counts in equal bins over [-limit, limit].

    Args:
        counts: Array (n_bins,), n_bins even.
        limit: Upper edge of the last bin; positive.
        minimum: Smallest observed value.
        maximum: Largest observed value.
    """

    counts: np.ndarray
    limit: float
    minimum: float
    maximum: float

    @property
    def width(self) -> float:
        """The width of a bin."""
        return 2 * self.limit / len(self.counts)

    @functools.cached_property
    def centers(self) -> np.ndarray:
        """The midpoint of each non-empty bin."""
        nonempty = np.flatnonzero(self.counts)
        centers = -self.limit + (nonempty + 0.5) * self.width
        return np.clip(centers, self.minimum, self.maximum)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """The fraction of the values in each non-empty bin; the fractions sum to 1."""
        counts = self.counts[self.counts > 0].astype(np.float64)
        return counts / counts.sum()

    @property
    def magnitudes(self) -> np.ndarray:
        """The counts of the absolute values, in n_bins / 2 bins over [0, limit]."""
        half = len(self.counts) // 2
        return self.counts[half:] + self.counts[:half][::-1]

    def quantile(self, fraction: float) -> float:
        """Return the value below which a given fraction of the values lies.

        Args:
            fraction: In [0, 1].
        """
        total = np.concatenate([[0.0], np.cumsum(self.counts, dtype=np.float64)])
        edges = np.linspace(-self.limit, self.limit, len(self.counts) + 1)
        value = np.interp(fraction * total[-1], total, edges)
        return float(np.clip(value, self.minimum, self.maximum))

    def error(self, minimum: ArrayLike, maximum: ArrayLike, bits: int) -> np.ndarray:
        """Return the mean squared error of rounding the values to the grid of a range.

        Args:
            minimum: Lower end of the range, a float or an array with one value for each candidate.
            maximum: Upper end, likewise.
            bits: Width of the grid, 2 to 8, or 16.

        Returns:
            Array with the mean squared error of each candidate.
        """
        lower, upper = np.broadcast_arrays(np.minimum(minimum, 0.0), np.maximum(maximum, 0.0))
        lower, upper = lower[..., None].astype(np.float64), upper[..., None].astype(np.float64)
        if bits == 16:
            upper = np.maximum(upper, -lower)
            lower = -upper
        step = np.maximum((upper - lower) / (2**bits - 1), 1e-30)
        nudged = np.round(lower / step) * step
        inside = np.clip(self.centers, nudged, nudged + (2**bits - 1) * step)
        rounded = nudged + np.round((inside - nudged) / step) * step
        return ((rounded - self.centers) ** 2 * self.weights).sum(axis=-1)


def histogram(values: ArrayLike, bins: int = 8192) -> Histogram:
    """Make the histogram of an array.

    Args:
        values: Array of any shape, not empty.
        bins: Number of bins, even.

    Returns:
        A `Histogram`.

    Example:
        >>> histogram(np.array([-1.0, 0.5, 0.5])).quantile(1.0)
        0.5
    """
    values = np.asarray(values, np.float64).ravel()
    limit = max(float(np.abs(values).max()), 1e-12)
    counts, _ = np.histogram(values, bins, (-limit, limit))
    return Histogram(counts, limit, float(values.min()), float(values.max()))
