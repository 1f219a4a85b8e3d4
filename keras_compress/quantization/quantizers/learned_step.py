"""The quantizer whose step is trained together with the weights (LSQ)."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras import ops

from keras_compress.quantization.fake_quant import grid_limit
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.quantizers.least_squares import LeastSquares
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class LearnedStep(WeightQuantizer):
    """Trains the step s of the grid together with the weights.

        y = s * round(clip(w / s, -limit, limit)),  limit = 2**(bits - 1) - 1
        dy/ds = round(w / s) - w / s inside the limits, +-limit outside
        dy/dw = 1 inside the limits, 0 outside

    The gradient of s is divided by sqrt(n * limit), where n is the number of weights that share s.
    When quantization begins, the step starts at that of `least_squares`. Exclude it from weight
    decay: `optimizer.exclude_from_weight_decay(var_names=["scale"])`.

    Source: Esser et al. 2020, "Learned step size quantization", section 2.

    Example:
        >>> rule = LearnedStep()
        >>> rule.quantize(np.array([0.3, -9.0], "float32"), 0.5, (0,), 3).numpy()
        array([ 0.5, -1.5], dtype=float32)
    """

    learned: ClassVar[bool] = True
    takes_tensor_widths: ClassVar[bool] = True

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """Return the initial step; see `WeightQuantizer.scale`."""
        return LeastSquares().scale(weights, axes, bits)

    def quantize(
        self, weights: Tensor, scale: Tensor, axes: Sequence[int], bits: int | Tensor
    ) -> Tensor:
        """See `WeightQuantizer.quantize`."""
        limit = grid_limit(bits)
        ratio = ops.clip(ops.convert_to_tensor(weights) / scale, -limit, limit)
        return (ratio + ops.stop_gradient(ops.round(ratio) - ratio)) * scale

    def trained_scale(self, step: Tensor, size: int, bits: int | Tensor) -> Tensor:
        """See `WeightQuantizer.trained_scale`."""
        damping = 1.0 / (size * grid_limit(bits)) ** 0.5
        return step * damping + ops.stop_gradient(step * (1.0 - damping))
