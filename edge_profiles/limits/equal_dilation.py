"""Dilation of a convolution, the same in both directions."""

from keras_compress.edge_profiles.limits.base import FlagLimit


class EqualDilation(FlagLimit):
    """With `true`, the dilation in height equals the one in width.

    Example:
        >>> EqualDilation(True).describe()
        'same dilation in height and width'
    """

    def problem(self, operator):
        """Give the two dilations where they differ."""
        height = operator.options.get("dilation_h_factor", 1)
        width = operator.options.get("dilation_w_factor", 1)
        if not self.value or height == width:
            return None
        return f"has dilation {height}x{width} (rule: both the same)"

    def describe(self):
        """State the rule."""
        return "same dilation in height and width" if self.value else ""
