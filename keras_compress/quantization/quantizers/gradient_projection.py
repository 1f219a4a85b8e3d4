"""The quantizer that moves weights towards their grid after each update (projected gradient)."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.quantizers.least_squares import LeastSquares
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class GradientProjection(WeightQuantizer):
    """Moves weights towards their grid after each update.

        w <- (w + strength * Q(w)) / (1 + strength)

    This is the proximal step of the regularizer strength / 2 * ||w - Q(w)||**2. The strength is
    growth * updates, so weights move to the grid gradually. Without a growth the strength is
    infinite and weights lie on the grid after every update. Updates smaller than half a step are
    then lost, so the learning rate has to be large enough for the grid.

    Source: Bai, Wang and Liberty 2019, "ProxQuant: quantized neural networks via proximal
    operators", sections 3.1 and 3.2.

    Args:
        growth: Increase of the strength with each update; `None` projects fully. Default 1e-3.

    Raises:
        InvalidArgumentError: A growth of 0 or less.
    """

    projects: ClassVar[bool] = True
    takes_tensor_widths: ClassVar[bool] = True

    growth: float | None = 1e-3

    def __post_init__(self):
        if self.growth is not None and not self.growth > 0:
            raise InvalidArgumentError(
                f"growth must be above 0, or None. Received: growth={self.growth}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """See `WeightQuantizer.scale`."""
        return LeastSquares().scale(weights, axes, bits)

    def project(self, weights: Tensor, rounded: Tensor, updates: Tensor) -> Tensor:
        """See `WeightQuantizer.project`."""
        if self.growth is None:
            return rounded
        strength = self.growth * updates
        return (weights + strength * rounded) / (1.0 + strength)
