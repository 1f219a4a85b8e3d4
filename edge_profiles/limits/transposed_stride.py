"""The strides of a transposed convolution."""

from keras_compress.edge_profiles.limits.base import Limit
from keras_compress.tflite import operands


class TransposedStride(Limit):
    """The strides (height, width) are among the given pairs, or 1 in a direction of size 1.

    Example:
        >>> TransposedStride([[1, 1], [2, 2]]).describe()
        'stride 1x1, 2x2'
    """

    allowed = "a list of pairs of whole numbers"

    def accepts(self, value):
        """Take pairs."""
        return isinstance(value, list) and all(
            isinstance(pair, list) and [type(v) for v in pair] == [int, int] for pair in value
        )

    def problem(self, operator):
        """Give the strides where they are not in the list."""
        stride = [operator.options["stride_h"], operator.options["stride_w"]]
        if stride in self.value or self._is_flat(operator, stride):
            return None
        return f"has stride {stride[0]}x{stride[1]} (rule: {self.describe()})"

    def _is_flat(self, operator, stride):
        """One direction has size 1 in map and kernel, so its stride of 1 stands for any."""
        data, kernel = operands.data(operator), operands.weights(operator)
        largest = max(stride)
        flat = [data.shape[1 + i] == kernel.shape[1 + i] == stride[i] == 1 for i in range(2)]
        return any(flat) and [largest, largest] in self.value

    def describe(self):
        """List the strides."""
        return "stride " + ", ".join(f"{height}x{width}" for height, width in self.value)
