"""The element types of the tensors that an operator computes with."""

from keras_compress.edge_profiles.limits.base import NamesLimit
from keras_compress.tflite import operands


class Types(NamesLimit):
    """Feature maps (inputs that are computed, and outputs) have one of the named types.

    Example:
        >>> Types(["int8"]).describe()
        'int8'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator):
        """Name the first type that is not in the list."""
        for tensor in operands.feature_maps(operator):
            if tensor.dtype not in self.value:
                return f"works on {tensor.dtype} (taken: {', '.join(self.value)})"
        return None

    def describe(self):
        """List the types."""
        return ", ".join(self.value)
