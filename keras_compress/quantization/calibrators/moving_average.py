"""The calibrator that averages the extremes of batches, without a slow start."""

import dataclasses

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import RunningCalibrator
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class MovingAverage(RunningCalibrator):
    """Averages the extremes of batches, exponentially in the long run.

        range += rate * (batch range - range),  rate = max(1 - decay, 1 / (count + 1))

    The first batch sets the range, the next ones enter a plain mean, and only then does the
    average become exponential. So it never lags behind an arbitrary initial value, which with a
    decay of 0.999 is a known cause of a gap between training and the deployed file.

    Source: Jacob et al. 2018, section 3.1. At the start, while the mean of the batches is the
    better estimate, the rate is that of a bias-corrected average (Kingma and Ba 2015, section 3).

    Args:
        decay: Long-run weight of the previous range, in [0, 1). Default 0.99.

    Raises:
        InvalidArgumentError: `decay` outside [0, 1).
    """

    decay: float = 0.99

    def __post_init__(self):
        if not 0 <= self.decay < 1:
            raise InvalidArgumentError(f"decay must lie in [0, 1). Received: decay={self.decay}")

    def update(
        self,
        minimum: Tensor,
        maximum: Tensor,
        count: Tensor,
        batch_minimum: Tensor,
        batch_maximum: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See `RunningCalibrator.update`."""
        rate = ops.maximum(1.0 - self.decay, 1.0 / (count + 1.0))
        return (
            minimum + rate * (batch_minimum - minimum),
            maximum + rate * (batch_maximum - maximum),
        )
