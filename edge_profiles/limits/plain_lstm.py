"""Variants of an LSTM."""

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands

# Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM that only its variants have.
_VARIANTS = {
    "peepholes": (9, 10, 11),
    "a projection": (16, 17),
    "gate normalization": (20, 21, 22, 23),
}


class PlainLstm(FlagLimit):
    """With `true`, the LSTM has no peephole, projection, gate normalization or coupled gate.

    Example:
        >>> PlainLstm(True).describe()
        'no peephole, projection, gate normalization or coupled gate'
    """

    def problem(self, operator):
        """Name the first variant."""
        if not self.value:
            return None
        for variant, positions in _VARIANTS.items():
            if any(operands.operand(operator, position) is not None for position in positions):
                return f"has {variant}"
        coupled = operands.operand(operator, 1) is None
        return "couples its input and forget gates" if coupled else None

    def describe(self):
        """State the rule."""
        rule = "no peephole, projection, gate normalization or coupled gate"
        return rule if self.value else ""
