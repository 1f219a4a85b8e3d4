"""The bases of activation calibrators."""

import abc
import dataclasses
from typing import ClassVar

from keras_compress.quantization.histogram import Histogram
from keras_compress.support.plugins import Plugin
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Calibrator(Plugin, abc.ABC):
    """Maps a stream of observed values to a range.

    A calibrator extends `RunningCalibrator`, which is cheap enough to learn ranges in `fit`, or
    `HistogramCalibrator`, which looks at the distribution and serves `kc.calibrate` alone.
    """

    learned: ClassVar[bool] = False  # whether the ends of the range are trained by gradient


@dataclasses.dataclass(frozen=True)
class RunningCalibrator(Calibrator):
    """Updates a range by the extremes of each batch, on the graph."""

    @abc.abstractmethod
    def update(
        self,
        minimum: Tensor,
        maximum: Tensor,
        count: Tensor,
        batch_minimum: Tensor,
        batch_maximum: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Take one more batch into account.

        Args:
            minimum: Lower end so far, scalar tensor.
            maximum: Upper end so far.
            count: Number of batches seen so far, scalar float tensor.
            batch_minimum: Smallest value of the new batch.
            batch_maximum: Largest value of the new batch.

        Returns:
            Tuple of the new (minimum, maximum).
        """


@dataclasses.dataclass(frozen=True)
class HistogramCalibrator(Calibrator):
    """Chooses a range from the distribution of all values that were observed."""

    @abc.abstractmethod
    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """Choose the range.

        Args:
            histogram: `Histogram` of the values.
            bits: Width of the grid, 2 to 8, or 16.

        Returns:
            Tuple of floats (minimum, maximum) with minimum <= 0 <= maximum.
        """
