"""The element types of weights."""

from keras_compress.edge_profiles.limits.base import NamesLimit
from keras_compress.tflite import operands


class WeightTypes(NamesLimit):
    """The weights have one of the named types.

    Example:
        >>> WeightTypes(["int8", "int4"]).describe()
        'weights int8, int4'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator):
        """Name the type of the weights if it is not in the list."""
        weights = operands.weights(operator)
        if weights is None or weights.dtype in self.value:
            return None
        return f"has {weights.dtype} weights (taken: {', '.join(self.value)})"

    def describe(self):
        """List the types."""
        return f"weights {', '.join(self.value)}"
