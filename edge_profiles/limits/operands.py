"""The inputs of an operator: how many there are, which are constants, and of what values."""

import math
from typing import Any

import numpy as np

from keras_compress.edge_profiles.limits.base import CountLimit, FlagLimit, Limit, TableLimit
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator
from keras_compress.tflite.operators import OperandRole


class InputCount(CountLimit):
    """The operator has between the first and the second number of inputs.

    Example:
        >>> InputCount([2, 4]).describe()
        '2 to 4 inputs'
    """

    counted = "inputs"

    def count(self, operator: Operator) -> int:
        """Count the inputs."""
        return len(operator.inputs)


class OutputCount(CountLimit):
    """The operator has between the first and the second number of outputs.

    Example:
        >>> OutputCount([2, 4]).describe()
        '2 to 4 outputs'
    """

    counted = "outputs"

    def count(self, operator: Operator) -> int:
        """Count the outputs."""
        return len(operator.outputs)


class ConstantInputs(Limit):
    """The inputs at the given positions, if present, are constants of the file.

    Example:
        >>> ConstantInputs([1, 2]).describe()
        'inputs 1, 2 constant'
    """

    allowed = "a list of positions, from 0"

    def accepts(self, value: Any) -> bool:
        """Take a list of whole numbers."""
        return isinstance(value, list) and all(type(position) is int for position in value)

    def problem(self, operator: Operator) -> str | None:
        """Name the first input that is computed."""
        for position in self.value:
            present = position < len(operator.inputs)
            tensor = operator.inputs[position] if present else None
            if tensor is not None and not tensor.is_constant:
                return f"computes its input {position} ({tensor.name}), which must be constant"
        return None

    def describe(self) -> str:
        """List the positions."""
        one = len(self.value) == 1
        return f"input{'' if one else 's'} {', '.join(map(str, self.value))} constant"


class ConcatenatedConstant(Limit):
    """A constant input is one of two, and all zero (that is, a padding).

    Example:
        >>> ConcatenatedConstant("zeros").describe()
        'a constant input only of two, and all zero'
    """

    allowed = '"zeros"'

    def accepts(self, value: Any) -> bool:
        """Take the one word."""
        return value == "zeros"

    def problem(self, operator: Operator) -> str | None:
        """Return the problem with a constant input."""
        constants = [t for t in operator.inputs if t is not None and t.is_constant]
        if not constants:
            return None
        if len(operator.inputs) != 2:
            return f"has a constant among {len(operator.inputs)} inputs (rule: {self.describe()})"
        zero_point = constants[0].zero_points[0] if constants[0].zero_points.size else 0
        if np.any(constants[0].data != zero_point):
            return f"has a constant that is not all zero (rule: {self.describe()})"
        return None

    def describe(self) -> str:
        """State the rule."""
        return "a constant input only of two, and all zero"


class AlphaPerChannel(FlagLimit):
    """With `true`, the slopes of PRELU vary over channels only.

    Example:
        >>> AlphaPerChannel(True).describe()
        'slopes vary over channels only'
    """

    rule = "slopes vary over channels only"

    def breach(self, operator: Operator) -> str | None:
        """Return the shape of slopes that vary over other axes too."""
        alpha = operators.operand(operator, OperandRole.SLOPES)
        if alpha is None or math.prod(alpha.shape[:-1]) == 1:
            return None
        return f"has slopes of shape {list(alpha.shape)} (rule: {self.rule})"


class WeightSum(TableLimit):
    """For each output channel, sum |w| stays below a bound, by type of the activations.

    Example:
        >>> WeightSum({"int8": 8323072}).describe()
        'sum of absolute weights of an output at most 8,323,072 (int8)'
    """

    parts = {"int8": "the largest sum", "uint8": "the same", "int16": "the same"}

    def accepts(self, value: Any) -> bool:
        """Take a table of whole numbers."""
        return super().accepts(value) and all(type(number) is int for number in value.values())

    def problem(self, operator: Operator) -> str | None:
        """Return the sum if it is too large."""
        weights, data = operators.weights(operator), operators.data(operator)
        channels = operators.row(operator.name).channel_axis
        if weights is None or not weights.is_constant or data is None or channels is None:
            return None
        most = self.value.get(str(data.dtype))
        # An output cannot sum to more than 128 for each of its weights.
        if most is None or 128 * weights.size <= most:
            return None
        values = np.moveaxis(weights.data, channels, 0).reshape(weights.shape[channels], -1)
        largest = int(np.abs(values, dtype=np.int32).sum(axis=1).max())
        if largest <= most:
            return None
        return f"has absolute weights that sum to {largest:,} (most: {most:,})"

    def describe(self) -> str:
        """State the bounds."""
        most = ", ".join(f"{number:,} ({kind})" for kind, number in self.value.items())
        return f"sum of absolute weights of an output at most {most}"


# Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM that only its variants have.
_VARIANTS = {
    "peepholes": OperandRole.PEEPHOLE_WEIGHTS,
    "a projection": OperandRole.PROJECTION_WEIGHTS,
    "gate normalization": OperandRole.GATE_NORMALIZATION,
}


class PlainLstm(FlagLimit):
    """With `true`, the LSTM has no peephole, projection, gate normalization or coupled gate.

    Example:
        >>> PlainLstm(True).describe()
        'no peephole, projection, gate normalization or coupled gate'
    """

    rule = "no peephole, projection, gate normalization or coupled gate"

    def breach(self, operator: Operator) -> str | None:
        """Name the first variant."""
        for variant, role in _VARIANTS.items():
            if any(tensor is not None for tensor in operators.operands(operator, role)):
                return f"has {variant}"
        of_input_gate = operators.operand(operator, OperandRole.INPUT_WEIGHTS)
        return "couples its input and forget gates" if of_input_gate is None else None
