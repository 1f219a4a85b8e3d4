"""The quantizer whose step minimizes the squared error, by alternating least squares."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.fake_quant import grid_limit
from keras_compress.quantization.quantizers.abs_max import AbsMax
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.support.types import Tensor

# Fractions of the abs_max step from which the search starts; 1.0 makes it no worse than abs_max.
_STARTS = (1.0, 0.85, 0.7, 0.55, 0.4)


@dataclasses.dataclass(frozen=True)
class LeastSquares(WeightQuantizer):
    """Chooses the step with the smallest squared error, by alternating two least-squares fits.

        scale = argmin sum (w - s * q)**2,  q = clip(round(w / s)) and s = <w, q> / <q, q> in turn

    No iteration raises the error, and the best result of several starts is taken. One of them is
    abs_max, so the error is never above that of abs_max.

    Source: Hubara et al. 2021, "Accurate post training quantization with small calibration sets";
    the alternation is Lloyd's (1982) on a grid with one free parameter.

    Args:
        iterations: Iterations from each start. Default 6.

    Raises:
        InvalidArgumentError: Fewer than one iteration.

    Example:
        >>> weights = np.random.default_rng(0).normal(size=(1000, 1)).astype("float32")
        >>> small, large = (rule.scale(weights, (0,), 4) for rule in (LeastSquares(), AbsMax()))
        >>> bool(small[0, 0] < large[0, 0])
        True
    """

    takes_tensor_widths: ClassVar[bool] = True

    iterations: int = 6

    def __post_init__(self):
        if self.iterations < 1:
            raise InvalidArgumentError(
                f"iterations must be 1 or more. Received: iterations={self.iterations}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """See `WeightQuantizer.scale`."""
        weights = ops.convert_to_tensor(weights)
        largest = AbsMax().scale(weights, axes, bits)
        limit = grid_limit(bits)
        best = largest
        best_error = _error(weights, largest, axes, limit)
        for start in _STARTS:
            scale = largest * start
            for _ in range(self.iterations):
                scale = _refit(weights, scale, axes, limit)
            error = _error(weights, scale, axes, limit)
            best = ops.where(error < best_error, scale, best)
            best_error = ops.minimum(error, best_error)
        return best


def _integers(weights, scale, limit):
    return ops.clip(ops.round(weights / scale), -limit, limit)


def _refit(weights, scale, axes, limit):
    integers = _integers(weights, scale, limit)
    power = ops.sum(integers * integers, axis=axes, keepdims=True)
    fitted = ops.sum(weights * integers, axis=axes, keepdims=True) / ops.maximum(power, 1.0)
    return ops.where(fitted > 0, fitted, scale)


def _error(weights, scale, axes, limit):
    rounded = _integers(weights, scale, limit) * scale
    return ops.sum((weights - rounded) ** 2, axis=axes, keepdims=True)
