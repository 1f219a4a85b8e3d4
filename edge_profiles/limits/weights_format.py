"""The order in which a Dense layer's weights are stored."""

from keras_compress.edge_profiles.limits.base import NamesLimit


class WeightsFormat(NamesLimit):
    """The weights of FULLY_CONNECTED are stored in one of the named formats.

    Example:
        >>> WeightsFormat(["DEFAULT"]).describe()
        'weights in format DEFAULT'
    """

    def problem(self, operator):
        """Name the format where it is not in the list."""
        found = operator.options.get("weights_format", "DEFAULT")
        return None if found in self.value else f"stores its weights as {found}"

    def describe(self):
        """List the formats."""
        return f"weights in format {', '.join(self.value)}"
