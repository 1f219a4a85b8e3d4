"""The output size of a transposed convolution."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class TransposedShape(FlagLimit):
    """With `true`, the output is in * stride, with VALID padding plus kernel - stride.

    Example:
        >>> TransposedShape(True).describe()
        'output is input * stride (+ kernel - stride with VALID padding)'
    """

    def problem(self, operator):
        """Give the sizes where they do not fit."""
        source, target = operands.data(operator).shape[1:3], operator.outputs[0].shape[1:3]
        kernel = operands.weights(operator).shape[1:3]
        stride = operator.options["stride_h"], operator.options["stride_w"]
        valid = operator.options.get("padding") == "VALID"
        wanted = tuple(
            a * s + (k - s if valid else 0) for a, s, k in zip(source, stride, kernel, strict=True)
        )
        if not self.value or wanted == target:
            return None
        return f"makes {list(target)} of {list(source)} (rule: {list(wanted)})"

    def describe(self):
        """State the rule."""
        rule = "output is input * stride (+ kernel - stride with VALID padding)"
        return rule if self.value else ""
