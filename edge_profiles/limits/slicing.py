"""The strides and masks of a strided slice."""

import numpy as np

from keras_compress.edge_profiles.limits.base import TableLimit
from keras_compress.tflite import operands


class Slicing(TableLimit):
    """Strides and masks of STRIDED_SLICE are simple enough.

    Example:
        >>> Slicing({"strides": "one", "masks": False}).describe()
        'strides of 1; no ellipsis or new axis'
    """

    parts = {
        "strides": '"one", or "spatial" where height and width may have others',
        "masks": "false where an ellipsis and new axes are not taken",
        "shrink_axis": "false where no axis may be removed",
    }

    def accepts(self, value):
        """Take known words."""
        return super().accepts(value) and value.get("strides", "one") in ("one", "spatial")

    def problem(self, operator):
        """Say which stride or mask breaks the rule."""
        strides = operands.operand(operator, 3)
        if strides is not None and strides.is_constant and not self._takes(np.ravel(strides.data)):
            return f"has strides {strides.data.tolist()} (rule: {self.describe()})"
        masks = (operator.options.get(f"{name}_mask", 0) for name in ("ellipsis", "new_axis"))
        if self.value.get("masks") is False and any(masks):
            return "has an ellipsis or a new axis"
        if self.value.get("shrink_axis") is False and operator.options.get("shrink_axis_mask"):
            return "removes an axis"
        return None

    def _takes(self, strides):
        if self.value.get("strides") == "one":
            return bool(np.all(strides == 1))
        inner = strides[1:3] if strides.size == 4 else strides[:0]
        return bool(np.all(strides > 0)) and strides.prod() == inner.prod()

    def describe(self):
        """State the rule."""
        words = {"one": "strides of 1", "spatial": "strides above 1 only in height and width"}
        texts = [words[self.value["strides"]]] if "strides" in self.value else []
        texts += ["no ellipsis or new axis"] if self.value.get("masks") is False else []
        texts += ["no axis removed"] if self.value.get("shrink_axis") is False else []
        return "; ".join(texts)
