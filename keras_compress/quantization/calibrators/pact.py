"""The calibrator whose ranges are trained together with the weights (PACT)."""

import dataclasses
from typing import ClassVar

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.base import RunningCalibrator
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Pact(RunningCalibrator):
    """Trains the ends of the range together with the weights.

        y = Q(clip(x, lo, hi)),  dy/dhi = 1 where x > hi,  dy/dlo = 1 where x < lo

    The first batch, or `kc.calibrate`, sets the initial range. A penalty
    `decay * (lo**2 + hi**2)` for each tensor pulls the ends inwards.

    Source: Choi et al. 2018, "PACT: parameterized clipping activation for quantized neural
    networks", section 3, where the lower end is zero because a ReLU comes before.

    Args:
        decay: Weight of the penalty, 0 or more. Default 1e-4.

    Raises:
        InvalidArgumentError: A negative decay.
    """

    learned: ClassVar[bool] = True

    decay: float = 1e-4

    def __post_init__(self):
        if not self.decay >= 0:
            raise InvalidArgumentError(f"decay must be 0 or more. Received: decay={self.decay}")

    def update(
        self,
        minimum: Tensor,
        maximum: Tensor,
        count: Tensor,
        batch_minimum: Tensor,
        batch_maximum: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the initial range: that of the last batch."""
        return batch_minimum, batch_maximum
