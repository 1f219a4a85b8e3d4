"""The base classes of activation calibrators."""

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
    `HistogramCalibrator`, which needs the whole distribution and works only in `kc.calibrate`.
    """

    learned: ClassVar[bool] = False  # whether the ends of the range are trained by gradient descent


@dataclasses.dataclass(frozen=True)
class RunningCalibrator(Calibrator):
    """Updates a range with the extremes of each batch, inside the traced training step."""

    @abc.abstractmethod
    def update(
        self,
        minimum: Tensor,
        maximum: Tensor,
        count: Tensor,
        batch_minimum: Tensor,
        batch_maximum: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the range after one more batch.

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
    """Chooses a range from the distribution of all observed values."""

    @abc.abstractmethod
    def range(self, histogram: Histogram, bits: int) -> tuple[float, float]:
        """Choose the range.

        Args:
            histogram: `Histogram` of the values.
            bits: Width of the grid, 2 to 8, or 16.

        Returns:
            Tuple of floats (minimum, maximum) with minimum <= 0 <= maximum.
        """
