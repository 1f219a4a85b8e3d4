"""Tensors with quantization parameters."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class Quantized(FlagLimit):
    """With `true`, feature maps and weights carry a scale.

    Example:
        >>> Quantized(True).describe()
        'quantized tensors only'
    """

    def problem(self, operator):
        """Name the first tensor that has no scale."""
        tensors = (*operands.feature_maps(operator), operands.weights(operator))
        for tensor in tensors if self.value else ():
            if tensor is not None and not tensor.scales.size:
                return f"works on {tensor.name}, which has no scale"
        return None

    def describe(self):
        """State the rule."""
        return "quantized tensors only" if self.value else ""
