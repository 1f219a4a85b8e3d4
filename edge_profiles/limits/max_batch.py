"""The first dimension of an operator's input."""

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class MaxBatch(WholeLimit):
    """The first dimension is at most the given number.

    Example:
        >>> MaxBatch(1).describe()
        'batch of 1'
    """

    def problem(self, operator):
        """Give the batch where it is too large."""
        tensor = operands.data(operator)
        if tensor is None or not tensor.shape or tensor.shape[0] <= self.value:
            return None
        return f"works on a batch of {tensor.shape[0]} (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"batch of {self.value}" if self.value == 1 else f"batch up to {self.value}"
