"""The quantizer whose scales or weights are powers of two: a shift replaces a multiplication."""

import dataclasses
import math
from collections.abc import Sequence

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.fake_quant import weight_limit
from keras_compress.quantization.quantizers.abs_max import AbsMax
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.support.types import Tensor

_LARGEST_POWER = 64  # the largest power of two among the 8-bit integers


@dataclasses.dataclass(frozen=True)
class PowerOfTwo(WeightQuantizer):
    """Rounds scales to 2**k, or the weights themselves to 0 and +-2**k.

        scales:  s = 2**ceil(log2(max|w| / limit)), or half of it where that has a smaller error
        weights: y = sign(w) * 2**clip(round(log2|w|), top - n + 1, top), zero below half of the
                 smallest; top = round(log2(max|w|)), n = 2**(bits - 1) - 1 exponents

    Weights that are powers of two are stored as the 8-bit integers 0, +-1, +-2 … +-64, which any
    runtime accepts. These hold seven exponents, so such weights have at most 4 bits.

    Source: Zhou et al. 2017, "Incremental network quantization", section 2; Miyashita et al.
    2016, "Convolutional neural networks using logarithmic data representation".

    Args:
        values: `"scales"` (default) or `"weights"`.

    Raises:
        InvalidArgumentError: Another name, or weights of more than 4 bits.

    Example:
        >>> PowerOfTwo().scale(np.array([1.0, -0.5], "float32"), (0,), 8).numpy()
        array([0.015625], dtype=float32)
    """

    values: str = "scales"

    def __post_init__(self):
        if self.values not in ("scales", "weights"):
            raise InvalidArgumentError(
                f"values must be 'scales' or 'weights'. Received: values={self.values!r}"
            )

    @property
    def uniform(self) -> bool:
        """Whether weights may take every value of the grid."""
        return self.values == "scales"

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.scale`."""
        weights = ops.convert_to_tensor(weights)
        if self.values == "weights":
            return ops.power(2.0, _top(weights, axes)) / _LARGEST_POWER
        # The margin keeps exact powers of two unchanged.
        exponent = ops.ceil(_log2(AbsMax().scale(weights, axes, bits)) - 1e-4)
        large = ops.power(2.0, exponent)
        errors = [_error(weights, scale, axes, bits) for scale in (large, large / 2)]
        return ops.where(errors[1] < errors[0], large / 2, large)

    def quantize(self, weights: Tensor, scale: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.quantize`."""
        if self.values == "scales":
            return super().quantize(weights, scale, axes, bits)
        weights = ops.convert_to_tensor(weights)
        units = ops.abs(weights) / scale
        smallest = math.log2(_LARGEST_POWER) - weight_limit(bits) + 1
        exponents = ops.clip(ops.round(_log2(units)), smallest, math.log2(_LARGEST_POWER))
        zero = units < 2.0**smallest / 2
        rounded = ops.where(zero, 0.0, ops.sign(weights) * ops.power(2.0, exponents) * scale)
        return weights + ops.stop_gradient(rounded - weights)

    def stored_bits(self, bits: int) -> int:
        """See `WeightQuantizer.stored_bits`."""
        if self.values == "scales":
            return bits
        if bits > 4:
            raise InvalidArgumentError(
                "Weights that are powers of two have 2 to 4 bits: the 8-bit integers of the file "
                f"hold seven exponents. Received: weight_bits={bits}"
            )
        return 8


def _log2(values):
    return ops.log(ops.maximum(values, 1e-30)) / math.log(2.0)


def _top(weights, axes):
    largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
    return ops.round(_log2(ops.where(largest > 0, largest, 1.0)))


def _error(weights, scale, axes, bits):
    limit = float(weight_limit(bits))
    rounded = ops.clip(ops.round(weights / scale), -limit, limit) * scale
    return ops.sum((weights - rounded) ** 2, axis=axes, keepdims=True)
