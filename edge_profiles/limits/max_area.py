"""Height times width of an operator's input."""

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class MaxArea(WholeLimit):
    """Height times width of the input is at most the given number.

    Example:
        >>> MaxArea(65535).describe()
        'height times width up to 65,535'
    """

    def problem(self, operator):
        """Give the area where it is too large."""
        height, width = operands.height_and_width(operands.data(operator))
        if height * width <= self.value:
            return None
        return f"works on {height}x{width} positions (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"height times width up to {self.value:,}"
