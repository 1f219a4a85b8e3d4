"""A constant among concatenated tensors."""

import numpy as np

from keras_compress.edge_profiles.limits.base import Limit


class ConcatenatedConstant(Limit):
    """A constant input is one of two, and all zero (that is, a padding).

    Example:
        >>> ConcatenatedConstant("zeros").describe()
        'a constant input only of two, and all zero'
    """

    allowed = '"zeros"'

    def accepts(self, value):
        """Take the one word."""
        return value == "zeros"

    def problem(self, operator):
        """Say what is wrong with a constant input."""
        constants = [t for t in operator.inputs if t is not None and t.is_constant]
        if not constants:
            return None
        if len(operator.inputs) != 2:
            return f"has a constant among {len(operator.inputs)} inputs (rule: {self.describe()})"
        zero_point = constants[0].zero_points[0] if constants[0].zero_points.size else 0
        if np.any(constants[0].data != zero_point):
            return f"has a constant that is not all zero (rule: {self.describe()})"
        return None

    def describe(self):
        """State the rule."""
        return "a constant input only of two, and all zero"
