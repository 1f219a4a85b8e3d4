"""The number of outputs of an operator."""

from keras_compress.edge_profiles.limits.base import Limit


class OutputCount(Limit):
    """The operator has between the first and the second number of outputs.

    Example:
        >>> OutputCount([2, 4]).describe()
        '2 to 4 outputs'
    """

    allowed = "a list of the least and the most"

    def accepts(self, value):
        """Take two whole numbers."""
        return isinstance(value, list) and [type(v) for v in value] == [int, int]

    def problem(self, operator):
        """Give the number where it is outside."""
        if self.value[0] <= len(operator.outputs) <= self.value[1]:
            return None
        return f"has {len(operator.outputs)} outputs (rule: {self.describe()})"

    def describe(self):
        """State the range."""
        least, most = self.value
        return f"{least} outputs" if least == most else f"{least} to {most} outputs"
