"""One scale for each channel of a tensor."""

from keras_compress.edge_profiles.limits.base import FlagLimit


class PerChannel(FlagLimit):
    """With `false`, no tensor of the operator has more than one scale.

    Example:
        >>> PerChannel(False).describe()
        'one scale per tensor'
    """

    def problem(self, operator):
        """Name the first tensor with more scales."""
        if self.value:
            return None
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and tensor.scales.size > 1:
                return f"has {tensor.scales.size} scales on {tensor.name} (rule: one)"
        return None

    def describe(self):
        """State the rule."""
        return "" if self.value else "one scale per tensor"
