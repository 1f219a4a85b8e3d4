"""How many innermost dimensions of a tensor may exceed 1."""

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class InnerDimensions(WholeLimit):
    """Only the given number of innermost dimensions are larger than 1.

    Example:
        >>> InnerDimensions(3).describe()
        'only the 3 innermost dimensions above 1'
    """

    def problem(self, operator):
        """Give the shape that has more."""
        for tensor in operands.feature_maps(operator):
            if any(size > 1 for size in tensor.shape[: -self.value]):
                return f"works on shape {list(tensor.shape)} (rule: {self.describe()})"
        return None

    def describe(self):
        """State the number."""
        if self.value == 1:
            return "only the innermost dimension above 1"
        return f"only the {self.value} innermost dimensions above 1"
