"""Inputs that are quantized like the output."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class SameScale(FlagLimit):
    """With `true`, every computed input has the output's scale and zero point.

    Example:
        >>> SameScale(True).describe()
        'inputs quantized like the output'
    """

    def problem(self, operator):
        """Name the first tensor that is quantized otherwise."""
        output = operator.outputs[0]
        for tensor in operands.feature_maps(operator) if self.value else ():
            same = tensor.scales.tolist() == output.scales.tolist()
            if not same or tensor.zero_points.tolist() != output.zero_points.tolist():
                return f"has {tensor.name} quantized unlike its output"
        return None

    def describe(self):
        """State the rule."""
        return "inputs quantized like the output" if self.value else ""
