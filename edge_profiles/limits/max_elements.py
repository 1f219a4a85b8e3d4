"""The size of an operator's input."""

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class MaxElements(WholeLimit):
    """The input has at most the given number of elements.

    Example:
        >>> MaxElements(16000).describe()
        'up to 16,000 elements'
    """

    def problem(self, operator):
        """Give the number where it is too large."""
        tensor = operands.data(operator)
        if tensor is None or tensor.size <= self.value:
            return None
        return f"works on {tensor.size:,} elements (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"up to {self.value:,} elements"
