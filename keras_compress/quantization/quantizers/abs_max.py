"""The quantizer whose scale comes from the largest magnitude."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from keras import ops

from keras_compress.quantization.fake_quant import grid_limit
from keras_compress.quantization.quantizers.base import WeightQuantizer
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class AbsMax(WeightQuantizer):
    """Sets the scale by the largest magnitude, so that no weight is clipped.

        scale = max|w| / (2**(bits - 1) - 1)

    TensorFlow's converter uses the same rule, so training sees the same scale as the file.

    Source: Krishnamoorthi 2018, "Quantizing deep convolutional networks", section 2.2.

    Example:
        >>> AbsMax().scale(np.array([[1.27, -0.5]], "float32"), (0, 1), 8).numpy().round(4)
        array([[0.01]], dtype=float32)
    """

    takes_tensor_widths: ClassVar[bool] = True

    def scale(self, weights: Tensor, axes: Sequence[int], bits: int | Tensor) -> Tensor:
        """See `WeightQuantizer.scale`."""
        largest = ops.max(ops.abs(weights), axis=axes, keepdims=True)
        return ops.where(largest > 0, largest, 1.0) / grid_limit(bits)
