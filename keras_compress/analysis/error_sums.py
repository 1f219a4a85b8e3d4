"""The error of a tensor, summed up batch by batch."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass
class ErrorSums:
    """Running sums over pairs of (reference, output) values.

        MSE = mean((r - o)^2)        SQNR = 10 log10(sum(r^2) / sum((r - o)^2))
        MAE = mean(|r - o|)          cosine = sum(r o) / sqrt(sum(r^2) sum(o^2))

    Example:
        >>> sums = ErrorSums()
        >>> sums.add(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
        >>> sums.sqnr_db
        20.0
    """

    count: int = 0
    squares: float = 0.0
    outputs: float = 0.0
    products: float = 0.0
    errors: float = 0.0
    distance: float = 0.0

    def add(self, reference, outputs):
        """Take one more batch into account.

        Args:
            reference: Array of real values.
            outputs: Array of the same shape.
        """
        reference = np.asarray(reference, np.float64).ravel()
        outputs = np.asarray(outputs, np.float64).ravel()
        error = reference - outputs
        self.count += error.size
        self.squares += float(reference @ reference)
        self.outputs += float(outputs @ outputs)
        self.products += float(reference @ outputs)
        self.errors += float(error @ error)
        self.distance += float(np.abs(error).sum())

    @property
    def mse(self):
        """Mean squared error."""
        return self.errors / self.count

    @property
    def mae(self):
        """Mean absolute error."""
        return self.distance / self.count

    @property
    def sqnr_db(self):
        """Signal-to-quantization-noise ratio; `None` where it is infinite or has no signal."""
        if not self.errors or not self.squares:
            return None
        return 10 * math.log10(self.squares / self.errors)

    @property
    def cosine(self):
        """Cosine of the angle between both; `None` where one of them is zero."""
        norm = math.sqrt(self.squares * self.outputs)
        return min(1.0, self.products / norm) if norm else None
