"""The element types of an operator's inputs and outputs."""

from keras_compress.edge_profiles.limits.base import FlagLimit, NamesLimit
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator
from keras_compress.tflite.operators import OperandRole


class Types(NamesLimit):
    """Feature maps (inputs that are computed, and outputs) have one of the named types.

    The states inside an LSTM have the types of its kernel, and do not count.

    Example:
        >>> Types(["int8"]).describe()
        'int8'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator: Operator) -> str | None:
        """Name the first type that is not in the list."""
        states = operators.operands(operator, OperandRole.STATE)
        for tensor in operators.feature_maps(operator):
            if tensor.dtype not in self.value and tensor not in states:
                return f"works on {tensor.dtype} (taken: {', '.join(self.value)})"
        return None

    def describe(self) -> str:
        """List the types."""
        return ", ".join(self.value)


class InputTypes(NamesLimit):
    """Every input, stored or computed, has one of the named types.

    Example:
        >>> InputTypes(["int8", "uint8"]).describe()
        'inputs int8, uint8'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator: Operator) -> str | None:
        """Name the first type that is not in the list."""
        for tensor in operator.inputs:
            if tensor is not None and tensor.dtype not in self.value:
                return f"reads {tensor.dtype} (taken: {', '.join(self.value)})"
        return None

    def describe(self) -> str:
        """List the types."""
        return f"inputs {', '.join(self.value)}"


class WeightTypes(NamesLimit):
    """The weights have one of the named types.

    Example:
        >>> WeightTypes(["int8", "int4"]).describe()
        'weights int8, int4'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator: Operator) -> str | None:
        """Name the type of the weights if it is not in the list."""
        weights = operators.weights(operator)
        if weights is None or weights.dtype in self.value:
            return None
        return f"has {weights.dtype} weights (taken: {', '.join(self.value)})"

    def describe(self) -> str:
        """List the types."""
        return f"weights {', '.join(self.value)}"


class SameType(FlagLimit):
    """With `true`, all feature maps have one type.

    Example:
        >>> SameType(True).describe()
        'one type for inputs and outputs'
    """

    rule = "one type for inputs and outputs"

    def breach(self, operator: Operator) -> str | None:
        """Return the types if there are several."""
        types = sorted({str(tensor.dtype) for tensor in operators.feature_maps(operator)})
        if len(types) < 2:
            return None
        return f"mixes {' and '.join(types)} (rule: {self.rule})"


class Hybrid(FlagLimit):
    """With `false`, weights are integers only if activations are.

    Example:
        >>> Hybrid(False).describe()
        'no integer weights under float activations'
    """

    rule = "no integer weights under float activations"
    set_by = False

    def breach(self, operator: Operator) -> str | None:
        """Return the types if the activations are float and the weights are integers."""
        data, weights = operators.data(operator), operators.weights(operator)
        if weights is None or data is None:
            return None
        if data.dtype.is_float and weights.dtype.is_integer:
            return f"has {weights.dtype} weights under {data.dtype} activations (dynamic range)"
        return None
