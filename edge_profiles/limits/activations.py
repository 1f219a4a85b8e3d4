"""Activations fused into an operator."""

from keras_compress.edge_profiles.limits.base import NamesLimit


class Activations(NamesLimit):
    """The fused activation is one of the named ones; `"NONE"` stands for no activation.

    Example:
        >>> Activations(["NONE"]).describe()
        'no fused activation'
    """

    allowed = 'a list of activations such as "NONE" and "RELU"'

    def problem(self, operator):
        """Name the activation where it is not in the list."""
        if operator.activation in self.value:
            return None
        return f"has {operator.activation} fused into it (rule: {self.describe()})"

    def describe(self):
        """List the activations."""
        if self.value == ["NONE"]:
            return "no fused activation"
        return f"fused activation {', '.join(self.value)}"
