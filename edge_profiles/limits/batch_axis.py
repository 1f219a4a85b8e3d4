"""Work along the batch axis: reducing, packing, splitting, padding."""

import numpy as np

from keras_compress.edge_profiles.limits.base import FlagLimit
from keras_compress.tflite import operands


class BatchAxis(FlagLimit):
    """With `false`, the operator does not work along the first axis.

    Example:
        >>> BatchAxis(False).describe()
        'not along the batch axis'
    """

    def problem(self, operator):
        """Say so where the first axis is worked along."""
        if self.value or not self._touches(operator):
            return None
        return "works along the batch axis"

    def describe(self):
        """State the rule."""
        return "" if self.value else "not along the batch axis"

    @staticmethod
    def _touches(operator):
        if operator.name in ("PAD", "PADV2", "MIRROR_PAD"):
            paddings = operands.operand(operator, 1)
            constant = paddings is not None and paddings.is_constant
            return constant and bool(np.any(paddings.data[0]))
        return 0 in operands.axes(operator)
