"""Inputs whose values must be in the file: weights, paddings, axes, sizes."""

from keras_compress.edge_profiles.limits.base import Limit
from keras_compress.tflite import operands


class ConstantInputs(Limit):
    """The inputs at the given positions, where there are such, are constants of the file.

    Example:
        >>> ConstantInputs([1, 2]).describe()
        'inputs 1, 2 constant'
    """

    allowed = "a list of positions, from 0"

    def accepts(self, value):
        """Take a list of whole numbers."""
        return isinstance(value, list) and all(type(position) is int for position in value)

    def problem(self, operator):
        """Name the first input that is computed."""
        for position in self.value:
            tensor = operands.operand(operator, position)
            if tensor is not None and not tensor.is_constant:
                return f"computes its input {position} ({tensor.name}), which must be constant"
        return None

    def describe(self):
        """List the positions."""
        one = len(self.value) == 1
        return f"input{'' if one else 's'} {', '.join(map(str, self.value))} constant"
