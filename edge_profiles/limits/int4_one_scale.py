"""One scale for 4-bit weights."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class Int4OneScale(FlagLimit):
    """With `true`, weights of 4 bits have one scale; those of other widths may have more.

    Example:
        >>> Int4OneScale(True).describe()
        'int4 weights with one scale'
    """

    def problem(self, operator):
        """Count the scales of 4-bit weights."""
        weights = operands.weights(operator)
        if not self.value or weights is None or weights.dtype != "int4":
            return None
        if weights.scales.size > 1:
            return f"has {weights.scales.size} scales on int4 weights {weights.name} (rule: one)"
        return None

    def describe(self):
        """State the rule."""
        return "int4 weights with one scale" if self.value else ""
