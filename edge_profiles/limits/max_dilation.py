"""Dilation of a convolution."""

from keras_compress.edge_profiles.limits.base import WholeLimit


class MaxDilation(WholeLimit):
    """The dilation is at most the given one; 1 means none.

    Example:
        >>> MaxDilation(1).describe()
        'no dilation'
    """

    def problem(self, operator):
        """Give the dilation where it is too large."""
        height = operator.options.get("dilation_h_factor", 1)
        width = operator.options.get("dilation_w_factor", 1)
        if max(height, width) <= self.value:
            return None
        return f"has dilation {height}x{width} (rule: {self.describe()})"

    def describe(self):
        """State the rule."""
        return "no dilation" if self.value == 1 else f"dilation up to {self.value}"
