"""The input's scale over the output's."""

from keras_compress.edge_profiles.limits.base import Limit
from keras_compress.tflite import operands


class ScaleRatio(Limit):
    """The input's scale over the output's lies between the two given numbers.

    Example:
        >>> ScaleRatio([0.00390625, 128.0]).describe()
        'input scale / output scale from 0.00390625 to 128'
    """

    allowed = "a list of the least and the largest ratio"

    def accepts(self, value):
        """Take two numbers."""
        numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
        return numbers and len(value) == 2

    def problem(self, operator):
        """Give the ratio where it is outside."""
        source, target = operands.data(operator), operator.outputs[0]
        if source is None or not source.scales.size or not target.scales.size:
            return None
        ratio = float(source.scales[0] / target.scales[0])
        if self.value[0] <= ratio <= self.value[1]:
            return None
        return f"has a ratio of scales of {ratio:.4g} (rule: {self.describe()})"

    def describe(self):
        """State the range."""
        return f"input scale / output scale from {self.value[0]:g} to {self.value[1]:g}"
