"""Weights are moved onto their grid after each update (projected gradient)."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.quantizers.least_squares import LeastSquares
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class GradientProjection(WeightQuantizer):
    """w <- (w + strength * Q(w)) / (1 + strength) after each update.

    It is the proximal step of the regularizer strength / 2 * ||w - Q(w)||**2. The strength is
    growth * updates, so that weights are drawn to the grid little by little; without a growth it
    is infinite, and weights lie on the grid after every update. Updates below half a step are
    then lost: that takes a learning rate that suits the grid.

    Source: Bai, Wang and Liberty 2019, "ProxQuant: quantized neural networks via proximal
    operators", sections 3.1 and 3.2.

    Args:
        growth: What the strength gains with an update; `None` projects fully. Default 1e-3.

    Raises:
        InvalidArgumentError: A growth that is not above 0.
    """

    projects: ClassVar[bool] = True

    growth: float | None = 1e-3

    def __post_init__(self):
        if self.growth is not None and not self.growth > 0:
            raise InvalidArgumentError(
                f"growth must be above 0, or None. Received: growth={self.growth}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.scale`."""
        return LeastSquares().scale(weights, axes, bits)

    def project(self, weights: Tensor, rounded: Tensor, updates: Tensor) -> Tensor:
        """See `WeightQuantizer.project`."""
        if self.growth is None:
            return rounded
        strength = self.growth * updates
        return (weights + strength * rounded) / (1.0 + strength)
