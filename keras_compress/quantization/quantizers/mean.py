"""The quantizer for binary and ternary weights, scaled by their mean magnitude."""

import dataclasses
from collections.abc import Sequence

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.support.types import Tensor

# The threshold that minimizes the error of ternary weights, as a fraction of the mean magnitude.
_THRESHOLD = 0.7


@dataclasses.dataclass(frozen=True)
class Mean(WeightQuantizer):
    """Rounds weights to two or three values, scaled by the mean magnitude.

        ternary: y = s * sign(w) where |w| > 0.7 * mean|w|, else 0; s = mean of |w| above it
        binary:  y = s * sign(w), s = mean|w|; pruned weights stay zero

    The gradient passes straight through. Weights need `weight_bits=2`.

    Source: Li and Liu 2016, "Ternary weight networks", section 2.2; Rastegari et al. 2016,
    "XNOR-Net", section 3.1.

    Args:
        values: `"ternary"` (default) or `"binary"`.

    Raises:
        InvalidArgumentError: Another name, or a width other than 2.

    Example:
        >>> weights = np.array([1.0, -3.0, 0.1], "float32")
        >>> rule = Mean()
        >>> rule.quantize(weights, rule.scale(weights, (0,), 2), (0,), 2).numpy()
        array([ 2., -2.,  0.], dtype=float32)
    """

    values: str = "ternary"

    def __post_init__(self):
        if self.values not in ("ternary", "binary"):
            raise InvalidArgumentError(
                f"values must be 'ternary' or 'binary'. Received: values={self.values!r}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.scale`."""
        magnitudes = ops.abs(ops.convert_to_tensor(weights))
        kept = ops.cast(magnitudes > self._threshold(magnitudes, axes), magnitudes.dtype)
        count = ops.maximum(ops.sum(kept, axis=axes, keepdims=True), 1.0)
        mean = ops.sum(magnitudes * kept, axis=axes, keepdims=True) / count
        return ops.where(mean > 0, mean, 1.0)

    def quantize(self, weights: Tensor, scale: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.quantize`."""
        magnitudes = ops.abs(ops.convert_to_tensor(weights))
        kept = ops.cast(magnitudes > self._threshold(magnitudes, axes), magnitudes.dtype)
        rounded = ops.sign(weights) * kept * scale
        return weights + ops.stop_gradient(rounded - weights)

    def stored_bits(self, bits: int) -> int:
        """See `WeightQuantizer.stored_bits`."""
        if bits != 2:
            raise InvalidArgumentError(
                f"The mean quantizer needs weights of 2 bits. Received: weight_bits={bits}"
            )
        return bits

    def _threshold(self, magnitudes, axes):
        if self.values == "binary":
            return 0.0
        return _THRESHOLD * ops.mean(magnitudes, axis=axes, keepdims=True)
