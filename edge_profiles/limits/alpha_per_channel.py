"""The slopes of a PReLU."""

import math

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class AlphaPerChannel(FlagLimit):
    """With `true`, the slopes of PRELU vary over channels only.

    Example:
        >>> AlphaPerChannel(True).describe()
        'slopes vary over channels only'
    """

    def problem(self, operator):
        """Give the shape of slopes that vary over more."""
        alpha = operands.operand(operator, 1)
        if not self.value or alpha is None or math.prod(alpha.shape[:-1]) == 1:
            return None
        return f"has slopes of shape {list(alpha.shape)} (rule: {self.describe()})"

    def describe(self):
        """State the rule."""
        return "slopes vary over channels only" if self.value else ""
