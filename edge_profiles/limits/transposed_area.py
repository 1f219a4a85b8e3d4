"""The axes that a transpose leaves together."""

import itertools
import math

from keras_compress.edge_profiles.limits.base import WholeLimit
from keras_compress.tflite import operands


class TransposedArea(WholeLimit):
    """The product of any rank - 2 axes of a transposed tensor is at most the given number.

    Example:
        >>> TransposedArea(65536).describe()
        'product of any rank - 2 axes up to 65,536'
    """

    def problem(self, operator):
        """Give the product where it is too large."""
        shape = operands.data(operator).shape
        chosen = itertools.combinations(shape, max(len(shape) - 2, 0))
        largest = max(math.prod(sizes) for sizes in chosen)
        if largest <= self.value:
            return None
        return f"transposes {list(shape)} (rule: {self.describe()})"

    def describe(self):
        """State the number."""
        return f"product of any rank - 2 axes up to {self.value:,}"
