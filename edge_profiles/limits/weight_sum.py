"""The sum of the absolute weights that make one output."""

import numpy as np

from keras_compress.edge_profiles.limits.base import TableLimit
from keras_compress.tflite import operands


class WeightSum(TableLimit):
    """For each output channel, sum |w| stays below a bound, by type of the activations.

    Example:
        >>> WeightSum({"int8": 8323072}).describe()
        'sum of absolute weights of an output at most 8,323,072 (int8)'
    """

    parts = {"int8": "the largest sum", "uint8": "the same", "int16": "the same"}

    def accepts(self, value):
        """Take a table of whole numbers."""
        return super().accepts(value) and all(type(number) is int for number in value.values())

    def problem(self, operator):
        """Give the sum where it is too large."""
        weights, data = operands.weights(operator), operands.data(operator)
        if weights is None or not weights.is_constant or data is None:
            return None
        most = self.value.get(str(data.dtype))
        # An output cannot sum to more than 128 for each of its weights.
        if most is None or 128 * weights.size <= most:
            return None
        channels = -1 if operator.name == "DEPTHWISE_CONV_2D" else 0
        values = np.moveaxis(weights.data, channels, 0).reshape(weights.shape[channels], -1)
        largest = int(np.abs(values, dtype=np.int32).sum(axis=1).max())
        if largest <= most:
            return None
        return f"has absolute weights that sum to {largest:,} (most: {most:,})"

    def describe(self):
        """State the bounds."""
        most = ", ".join(f"{number:,} ({kind})" for kind, number in self.value.items())
        return f"sum of absolute weights of an output at most {most}"
