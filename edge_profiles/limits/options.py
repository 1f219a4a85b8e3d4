"""The version and the options of an operator: activation, strides, dilation, windows, formats."""

from typing import Any

import numpy as np

from keras_compress.edge_profiles.limits.base import (
    FlagLimit,
    Limit,
    NamesLimit,
    TableLimit,
    WholeLimit,
)
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator
from keras_compress.tflite.operators import OperandRole


class MaxVersion(WholeLimit):
    """The operator's version is at most the given one.

    Example:
        >>> MaxVersion(5).describe()
        'version up to 5'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the version if it is too new."""
        if operator.version <= self.value:
            return None
        return f"has version {operator.version} (known: up to {self.value})"

    def describe(self) -> str:
        """State the version."""
        return f"version up to {self.value}"


class Activations(NamesLimit):
    """The fused activation is one of the named ones; `"NONE"` stands for no activation.

    Example:
        >>> Activations(["NONE"]).describe()
        'no fused activation'
    """

    allowed = 'a list of activations such as "NONE" and "RELU"'

    def problem(self, operator: Operator) -> str | None:
        """Return the activation if it is not in the list."""
        if operator.activation in self.value:
            return None
        return f"has {operator.activation} fused into it (rule: {self.describe()})"

    def describe(self) -> str:
        """List the activations."""
        if self.value == ["NONE"]:
            return "no fused activation"
        return f"fused activation {', '.join(self.value)}"


class MaxStride(TableLimit):
    """Strides are at most `any`, or larger only with VALID padding and no dilation.

    Example:
        >>> MaxStride({"any": 3, "larger": "valid"}).describe()
        'stride up to 3, larger with VALID padding and no dilation'
    """

    parts = {"any": "the largest stride", "larger": '"valid" where VALID padding lifts it'}

    def accepts(self, value: Any) -> bool:
        """Take a table with a whole number, and "valid" if anything more."""
        return (
            super().accepts(value)
            and type(value.get("any")) is int
            and value.get("larger", "valid") == "valid"
        )

    def problem(self, operator: Operator) -> str | None:
        """Return the stride if it is too large."""
        options = operator.options
        stride = options.get("stride_h", 1), options.get("stride_w", 1)
        dilated = max(options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)) > 1
        lifted = "larger" in self.value and options.get("padding") == "VALID" and not dilated
        if max(stride) <= self.value["any"] or lifted:
            return None
        return f"has stride {stride[0]}x{stride[1]} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the rule."""
        more = ", larger with VALID padding and no dilation" if "larger" in self.value else ""
        return f"stride up to {self.value['any']}{more}"


class TransposedStride(Limit):
    """The strides (height, width) are among the given pairs, or 1 in a direction of size 1.

    Example:
        >>> TransposedStride([[1, 1], [2, 2]]).describe()
        'stride 1x1, 2x2'
    """

    allowed = "a list of pairs of whole numbers"

    def accepts(self, value: Any) -> bool:
        """Take pairs."""
        return isinstance(value, list) and all(
            isinstance(pair, list) and [type(v) for v in pair] == [int, int] for pair in value
        )

    def problem(self, operator: Operator) -> str | None:
        """Return the strides if they are not in the list."""
        stride = [operator.options["stride_h"], operator.options["stride_w"]]
        if stride in self.value or self._is_flat(operator, stride):
            return None
        return f"has stride {stride[0]}x{stride[1]} (rule: {self.describe()})"

    def _is_flat(self, operator, stride):
        """Return whether one direction has size 1 in map and kernel, where any stride is 1."""
        data = operators.required(operator, OperandRole.DATA)
        kernel = operators.required(operator, OperandRole.WEIGHTS)
        largest = max(stride)
        flat = [data.shape[1 + i] == kernel.shape[1 + i] == stride[i] == 1 for i in range(2)]
        return any(flat) and [largest, largest] in self.value

    def describe(self) -> str:
        """List the strides."""
        return "stride " + ", ".join(f"{height}x{width}" for height, width in self.value)


class MaxDilation(WholeLimit):
    """The dilation is at most the given one; 1 means none.

    Example:
        >>> MaxDilation(1).describe()
        'no dilation'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the dilation if it is too large."""
        height = operator.options.get("dilation_h_factor", 1)
        width = operator.options.get("dilation_w_factor", 1)
        if max(height, width) <= self.value:
            return None
        return f"has dilation {height}x{width} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the rule."""
        return "no dilation" if self.value == 1 else f"dilation up to {self.value}"


class EqualDilation(FlagLimit):
    """With `true`, the dilation in height equals the one in width.

    Example:
        >>> EqualDilation(True).describe()
        'same dilation in height and width'
    """

    rule = "same dilation in height and width"

    def breach(self, operator: Operator) -> str | None:
        """Return the two dilations if they differ."""
        height = operator.options.get("dilation_h_factor", 1)
        width = operator.options.get("dilation_w_factor", 1)
        if height == width:
            return None
        return f"has dilation {height}x{width} (rule: both the same)"


class PoolWindow(TableLimit):
    """The pooling window is small enough; SAME padding may have a limit of its own.

    Example:
        >>> PoolWindow({"area": 65536, "height": 256, "side_if_same": 8}).describe()
        'window up to 65,536 elements and 256 high, up to 8x8 with SAME padding'
    """

    parts = {
        "area": "the most elements",
        "height": "the most rows",
        "side_if_same": "the longest side with SAME padding, where area and height do not count",
    }

    def accepts(self, value: Any) -> bool:
        """Take a table of whole numbers."""
        return super().accepts(value) and all(type(number) is int for number in value.values())

    def problem(self, operator: Operator) -> str | None:
        """Return the window if it is too large."""
        height, width = operator.options["filter_height"], operator.options["filter_width"]
        same = operator.options.get("padding") == "SAME" and "side_if_same" in self.value
        if same:
            broken = max(height, width) > self.value["side_if_same"]
        else:
            area, rows = self.value.get("area"), self.value.get("height")
            broken = bool(area and height * width > area) or bool(rows and height > rows)
        if not broken:
            return None
        return f"has a window of {height}x{width} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the rule."""
        parts = [f"{self.value['area']:,} elements"] if "area" in self.value else []
        parts += [f"{self.value['height']} high"] if "height" in self.value else []
        text = f"window up to {' and '.join(parts)}" if parts else "window of any size"
        side = self.value.get("side_if_same")
        return f"{text}, up to {side}x{side} with SAME padding" if side else text


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

    def accepts(self, value: Any) -> bool:
        """Take known words."""
        return super().accepts(value) and value.get("strides", "one") in ("one", "spatial")

    def problem(self, operator: Operator) -> str | None:
        """Return the stride or mask that breaks the rule."""
        strides = operators.operand(operator, OperandRole.STRIDES)
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

    def describe(self) -> str:
        """State the rule."""
        words = {"one": "strides of 1", "spatial": "strides above 1 only in height and width"}
        texts = [words[self.value["strides"]]] if "strides" in self.value else []
        texts += ["no ellipsis or new axis"] if self.value.get("masks") is False else []
        texts += ["no axis removed"] if self.value.get("shrink_axis") is False else []
        return "; ".join(texts)


class WeightsFormat(NamesLimit):
    """The weights of FULLY_CONNECTED are stored in one of the named formats.

    Example:
        >>> WeightsFormat(["DEFAULT"]).describe()
        'weights in format DEFAULT'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the format if it is not in the list."""
        stored = operator.options.get("weights_format", "DEFAULT")
        return None if stored in self.value else f"stores its weights as {stored}"

    def describe(self) -> str:
        """List the formats."""
        return f"weights in format {', '.join(self.value)}"
