"""The axis of a gather."""

from keras_compress.edge_profiles.limits.base import FlagLimit


class GatherBatch(FlagLimit):
    """With `true`, the axis equals the number of batch dimensions.

    Example:
        >>> GatherBatch(True).describe()
        'axis equal to batch_dims'
    """

    def problem(self, operator):
        """Give the two where they differ."""
        axis = operator.options.get("axis", 0)
        batch_dims = operator.options.get("batch_dims", 0)
        if not self.value or axis == batch_dims:
            return None
        return f"has axis {axis} and batch_dims {batch_dims} (rule: both the same)"

    def describe(self):
        """State the rule."""
        return "axis equal to batch_dims" if self.value else ""
