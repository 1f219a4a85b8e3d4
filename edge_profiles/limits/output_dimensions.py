"""How many innermost dimensions of an output may exceed 1."""

from keras_compress.edge_profiles.limits.base import WholeLimit


class OutputDimensions(WholeLimit):
    """Only the given number of innermost dimensions of the output are larger than 1.

    Example:
        >>> OutputDimensions(1).describe()
        'output of 1 dimension above 1'
    """

    def problem(self, operator):
        """Give the shape that has more."""
        shape = operator.outputs[0].shape
        if all(size == 1 for size in shape[: -self.value]):
            return None
        return f"makes shape {list(shape)} (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"output of {self.value} dimension{'s' if self.value > 1 else ''} above 1"
