"""Inputs of the output's type."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class SameType(FlagLimit):
    """With `true`, all feature maps have one type.

    Example:
        >>> SameType(True).describe()
        'one type for inputs and outputs'
    """

    def problem(self, operator):
        """List the types where there are several."""
        types = sorted({str(tensor.dtype) for tensor in operands.feature_maps(operator)})
        if not self.value or len(types) < 2:
            return None
        return f"mixes {' and '.join(types)} (rule: {self.describe()})"

    def describe(self):
        """State the rule."""
        return "one type for inputs and outputs" if self.value else ""
