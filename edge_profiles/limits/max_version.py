"""The newest version of an operator that a target's parser knows."""

from keras_compress.edge_profiles.limits.base import WholeLimit


class MaxVersion(WholeLimit):
    """The operator's version is at most the given one.

    Example:
        >>> MaxVersion(5).describe()
        'version up to 5'
    """

    def problem(self, operator):
        """Give the version where it is too new."""
        if operator.version <= self.value:
            return None
        return f"has version {operator.version} (known: up to {self.value})"

    def describe(self):
        """State the version."""
        return f"version up to {self.value}"
