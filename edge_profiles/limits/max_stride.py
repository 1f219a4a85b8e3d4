"""Strides of a convolution or pooling."""

from keras_compress.edge_profiles.limits.base import TableLimit


class MaxStride(TableLimit):
    """Strides are at most `any`, or larger only with VALID padding and no dilation.

    Example:
        >>> MaxStride({"any": 3, "larger": "valid"}).describe()
        'stride up to 3, larger with VALID padding and no dilation'
    """

    parts = {"any": "the largest stride", "larger": '"valid" where VALID padding lifts it'}

    def accepts(self, value):
        """Take a table with a whole number, and "valid" if anything more."""
        return (
            super().accepts(value)
            and type(value.get("any")) is int
            and value.get("larger", "valid") == "valid"
        )

    def problem(self, operator):
        """Give the stride where it is too large."""
        options = operator.options
        stride = options.get("stride_h", 1), options.get("stride_w", 1)
        dilated = max(options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)) > 1
        lifted = "larger" in self.value and options.get("padding") == "VALID" and not dilated
        if max(stride) <= self.value["any"] or lifted:
            return None
        return f"has stride {stride[0]}x{stride[1]} (rule: {self.describe()})"

    def describe(self):
        """State the rule."""
        more = ", larger with VALID padding and no dilation" if "larger" in self.value else ""
        return f"stride up to {self.value['any']}{more}"
