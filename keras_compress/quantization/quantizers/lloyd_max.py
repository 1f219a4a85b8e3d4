"""The quantizer with a codebook of least squared error instead of a grid of equal steps."""

import dataclasses
from collections.abc import Sequence

from keras import ops

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.fake_quant import weight_limit
from keras_compress.quantization.quantizers.abs_max import AbsMax
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.quantization.quantizers.least_squares import LeastSquares
from keras_compress.support.types import Tensor

_STORED_BITS = 8


@dataclasses.dataclass(frozen=True)
class LloydMax(WeightQuantizer):
    """Rounds to a codebook with the smallest squared error instead of a grid of equal steps.

        y = the nearest of 2**bits - 1 codes,  code = the mean of the weights nearest to it

    Both steps alternate. The codes start as the `least_squares` grid, and each iteration lowers the
    error. They are rounded to the 8-bit grid of the largest weight, so the file holds plain 8-bit
    weights with few distinct values: every runtime accepts it, and table encodings and gzip make it
    small. Zero is always a code.

    Source: Lloyd 1982, "Least squares quantization in PCM"; Max 1960, "Quantizing for minimum
    distortion".

    Args:
        iterations: Number of iterations. Default 10.

    Raises:
        InvalidArgumentError: Fewer than one iteration, or 8 bits, where codes would be the grid.
    """

    iterations: int = 10

    @property
    def uniform(self) -> bool:
        """Whether weights may take every value of the grid."""
        return False

    def __post_init__(self):
        if self.iterations < 1:
            raise InvalidArgumentError(
                f"iterations must be 1 or more. Received: iterations={self.iterations}"
            )

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """Return the step of the 8-bit grid that the codes lie on; see `WeightQuantizer.scale`."""
        return AbsMax().scale(weights, axes, _STORED_BITS)

    def quantize(self, weights: Tensor, scale: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """See `WeightQuantizer.quantize`."""
        weights = ops.convert_to_tensor(weights)
        fixed = ops.stop_gradient(weights)
        codes = self.codes(fixed, axes, bits)
        limit = float(weight_limit(_STORED_BITS))
        step = ops.expand_dims(ops.broadcast_to(scale, codes.shape[:-1]), -1)
        codes = ops.clip(ops.round(codes / step), -limit, limit) * step
        rounded = ops.sum(_nearest(fixed, codes) * codes, axis=-1)
        return weights + ops.stop_gradient(rounded - weights)

    def codes(self, weights: Tensor, axes: Sequence[int], bits: int) -> Tensor:
        """Return the codebook of each group of weights, before it is rounded.

        Args:
            weights: Float tensor.
            axes: Axes that share a codebook.
            bits: Width, 2 to 7.

        Returns:
            Tensor of the shape of the scale, with a last axis added for the codes.
        """
        limit = weight_limit(bits)
        step = ops.expand_dims(LeastSquares().scale(weights, axes, bits), -1)
        codes = step * ops.arange(-limit, limit + 1, dtype=weights.dtype)
        for _ in range(self.iterations):
            assigned = _nearest(weights, codes)
            count = ops.sum(assigned, axis=axes, keepdims=True)
            total = ops.sum(assigned * ops.expand_dims(weights, -1), axis=axes, keepdims=True)
            means = ops.where(count > 0, total / ops.maximum(count, 1.0), codes)
            codes = ops.concatenate(
                [means[..., :limit], ops.zeros_like(means[..., :1]), means[..., limit + 1 :]], -1
            )
        return codes

    def stored_bits(self, bits: int) -> int:
        """See `WeightQuantizer.stored_bits`."""
        if bits > 7:
            raise InvalidArgumentError(
                f"The codes of lloyd_max have 2 to 7 bits. Received: weight_bits={bits}"
            )
        return _STORED_BITS


def _nearest(weights, codes):
    """Return a one-hot tensor (..., codes) that marks the code nearest to each weight."""
    distance = ops.abs(ops.expand_dims(weights, -1) - codes)
    return ops.one_hot(ops.argmin(distance, axis=-1), codes.shape[-1], dtype=weights.dtype)
