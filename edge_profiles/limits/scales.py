"""The scales of quantized tensors."""

from typing import Any

from keras_compress.edge_profiles.limits.base import FlagLimit, Limit
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator


class Quantized(FlagLimit):
    """With `true`, feature maps and weights have a scale.

    Example:
        >>> Quantized(True).describe()
        'quantized tensors only'
    """

    rule = "quantized tensors only"

    def breach(self, operator: Operator) -> str | None:
        """Name the first tensor that has no scale."""
        tensors = (*operators.feature_maps(operator), operators.weights(operator))
        for tensor in tensors:
            if tensor is not None and not tensor.scales.size:
                return f"works on {tensor.name}, which has no scale"
        return None


class PerChannel(FlagLimit):
    """With `false`, no tensor of the operator has more than one scale.

    Example:
        >>> PerChannel(False).describe()
        'one scale per tensor'
    """

    rule = "one scale per tensor"
    set_by = False

    def breach(self, operator: Operator) -> str | None:
        """Return the first tensor with more than one scale."""
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and tensor.scales.size > 1:
                return f"has {tensor.scales.size} scales on {tensor.name} (rule: one)"
        return None


class Int4OneScale(FlagLimit):
    """With `true`, weights of 4 bits have one scale; those of other widths may have more.

    Example:
        >>> Int4OneScale(True).describe()
        'int4 weights with one scale'
    """

    rule = "int4 weights with one scale"

    def breach(self, operator: Operator) -> str | None:
        """Count the scales of 4-bit weights."""
        weights = operators.weights(operator)
        if weights is None or weights.dtype != "int4":
            return None
        if weights.scales.size > 1:
            return f"has {weights.scales.size} scales on int4 weights {weights.name} (rule: one)"
        return None


class SameScale(FlagLimit):
    """With `true`, every computed input has the output's scale and zero point.

    Example:
        >>> SameScale(True).describe()
        'inputs quantized like the output'
    """

    rule = "inputs quantized like the output"

    def breach(self, operator: Operator) -> str | None:
        """Return the first tensor that is quantized differently."""
        output = operator.outputs[0]
        for tensor in operators.feature_maps(operator):
            same = tensor.scales.tolist() == output.scales.tolist()
            if not same or tensor.zero_points.tolist() != output.zero_points.tolist():
                return f"has {tensor.name} quantized unlike its output"
        return None


class ScaleRatio(Limit):
    """The input's scale divided by the output's lies between the two given numbers.

    Example:
        >>> ScaleRatio([0.00390625, 128.0]).describe()
        'input scale / output scale from 0.00390625 to 128'
    """

    allowed = "a list of the least and the largest ratio"

    def accepts(self, value: Any) -> bool:
        """Take two numbers."""
        numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
        return numbers and len(value) == 2

    def problem(self, operator: Operator) -> str | None:
        """Return the ratio if it is outside the range."""
        source, target = operators.data(operator), operator.outputs[0]
        if source is None or not source.scales.size or not target.scales.size:
            return None
        ratio = float(source.scales[0] / target.scales[0])
        if self.value[0] <= ratio <= self.value[1]:
            return None
        return f"has a ratio of scales of {ratio:.4g} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the range."""
        return f"input scale / output scale from {self.value[0]:g} to {self.value[1]:g}"
