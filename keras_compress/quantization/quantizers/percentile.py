"""The quantizer whose scale comes from a high percentile of the magnitudes."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.fake_quant import grid_limit
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Percentile(WeightQuantizer):
    """Sets the scale by a high percentile of the magnitudes, so that a few weights are clipped.

        scale = percentile(|w|) / (2**(bits - 1) - 1)

    Source: Wu et al. 2020, "Integer quantization for deep learning inference", section 3.2.

    Args:
        percentile: Percentile of the magnitudes, in (0, 100]. Default 99.9.

    Raises:
        InvalidArgumentError: A percentile outside (0, 100].

    Example:
        >>> weights = np.arange(101, dtype="float32")
        >>> Percentile(99.0).scale(weights, (0,), 8).numpy().round(4)
        array([0.7795], dtype=float32)
    """

    takes_tensor_widths: ClassVar[bool] = True

    percentile: float = 99.9

    def __post_init__(self):
        if not 0 < self.percentile <= 100:
            raise InvalidArgumentError(
                "percentile must lie above 0 and be at most 100. "
                f"Received: percentile={self.percentile}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """See `WeightQuantizer.scale`."""
        magnitudes = ops.abs(ops.convert_to_tensor(weights))
        threshold = ops.quantile(magnitudes, self.percentile / 100, axis=axes, keepdims=True)
        # If most weights are pruned, the percentile may be zero although the largest weight is not.
        largest = ops.max(magnitudes, axis=axes, keepdims=True)
        threshold = ops.where(threshold > 0, threshold, ops.where(largest > 0, largest, 1.0))
        return threshold / grid_limit(bits)
