"""The calibrator that takes the extremes of all observed values."""

import dataclasses

from keras import ops

from keras_compress.quantization.calibrators.base import RunningCalibrator
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class MinMax(RunningCalibrator):
    """Takes the extremes of all observed values, so that nothing is clipped.

        range = (min x, max x) over all batches

    TensorFlow's converter does the same with a representative dataset.

    Source: Krishnamoorthi 2018, "Quantizing deep convolutional networks", section 2.

    Example:
        >>> minimum, maximum = MinMax().update(-1.0, 2.0, 3.0, -4.0, 1.0)
        >>> float(minimum), float(maximum)
        (-4.0, 2.0)
    """

    def update(
        self,
        minimum: Tensor,
        maximum: Tensor,
        count: Tensor,
        batch_minimum: Tensor,
        batch_maximum: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `RunningCalibrator.update`."""
        first = ops.equal(count, 0.0)
        return (
            ops.where(first, batch_minimum, ops.minimum(minimum, batch_minimum)),
            ops.where(first, batch_maximum, ops.maximum(maximum, batch_maximum)),
        )
