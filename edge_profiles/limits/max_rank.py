"""The number of dimensions of tensors."""

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class MaxRank(WholeLimit):
    """Feature maps have at most the given number of dimensions.

    Example:
        >>> MaxRank(5).describe()
        'up to 5 dimensions'
    """

    def problem(self, operator):
        """Give the number of dimensions where it is too large."""
        rank = max(len(tensor.shape) for tensor in operands.feature_maps(operator))
        if rank <= self.value:
            return None
        return f"works on {rank} dimensions (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"up to {self.value} dimensions"
