"""Integer weights under float activations, which dynamic-range quantization makes."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class Hybrid(FlagLimit):
    """With `false`, weights are integers only where activations are.

    Example:
        >>> Hybrid(False).describe()
        'no integer weights under float activations'
    """

    def problem(self, operator):
        """Say so where the activations are float and the weights are not."""
        data, weights = operands.data(operator), operands.weights(operator)
        if self.value or weights is None or data is None:
            return None
        if data.dtype.is_float and weights.dtype.is_integer:
            return f"has {weights.dtype} weights under {data.dtype} activations (dynamic range)"
        return None

    def describe(self):
        """State the rule."""
        return "" if self.value else "no integer weights under float activations"
