"""The values of a tensor over the samples: its limits, its channels, its tail."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Observed:
    """Running statistics of a tensor's float values.

    Args:
        minimum: Smallest value.
        maximum: Largest value.
        channels: Largest magnitude of each channel, which is the last axis.
        tail: The 99.9th percentile of the magnitudes, the mean over batches.
    """

    minimum: float = np.inf
    maximum: float = -np.inf
    channels: np.ndarray | None = None
    tail: float = 0.0
    batches: int = 0

    def add(self, values):
        """Take one more batch into account.

        Args:
            values: Float array (samples, ..., channels).
        """
        values = np.asarray(values, np.float32)
        magnitudes = np.abs(values)
        channels = magnitudes.reshape(-1, values.shape[-1]).max(axis=0)
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        self.channels = channels if self.channels is None else np.maximum(self.channels, channels)
        tail = float(np.percentile(magnitudes, 99.9))
        self.tail += (tail - self.tail) / (self.batches + 1)
        self.batches += 1

    @property
    def largest(self):
        """Largest magnitude."""
        return max(abs(self.minimum), abs(self.maximum))

    @property
    def span(self):
        """Width of the range that holds all values and zero."""
        return max(self.maximum, 0.0) - min(self.minimum, 0.0)
