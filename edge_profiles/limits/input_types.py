"""The element types of all inputs, stored ones among them."""

from keras_compress.edge_profiles.limits.base import NamesLimit


class InputTypes(NamesLimit):
    """Every input, stored or computed, has one of the named types.

    Example:
        >>> InputTypes(["int8", "uint8"]).describe()
        'inputs int8, uint8'
    """

    allowed = 'a list of element types such as "int8"'

    def problem(self, operator):
        """Name the first type that is not in the list."""
        for tensor in operator.inputs:
            if tensor is not None and tensor.dtype not in self.value:
                return f"reads {tensor.dtype} (taken: {', '.join(self.value)})"
        return None

    def describe(self):
        """List the types."""
        return f"inputs {', '.join(self.value)}"
