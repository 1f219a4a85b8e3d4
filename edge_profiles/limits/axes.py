"""The axes that an operator works along."""

import math

import numpy as np

from keras_compress.edge_profiles.limits.base import FlagLimit, TableLimit
from keras_compress.edge_profiles.limits.shapes import height_and_width
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator
from keras_compress.tflite.operators import OperandRole


class BatchAxis(FlagLimit):
    """With `false`, the operator does not work along the first axis.

    Example:
        >>> BatchAxis(False).describe()
        'not along the batch axis'
    """

    rule = "not along the batch axis"
    set_by = False

    def breach(self, operator: Operator) -> str | None:
        """Return the problem if the operator works along the first axis."""
        if not self._touches(operator):
            return None
        return "works along the batch axis"

    @staticmethod
    def _touches(operator):
        paddings = operators.operand(operator, OperandRole.PADDINGS)
        if paddings is None:
            return 0 in operators.axes(operator)
        return paddings.is_constant and bool(np.any(paddings.data[0]))


class GatherBatch(FlagLimit):
    """With `true`, the axis equals the number of batch dimensions.

    Example:
        >>> GatherBatch(True).describe()
        'axis equal to batch_dims'
    """

    rule = "axis equal to batch_dims"

    def breach(self, operator: Operator) -> str | None:
        """Return the axis and the batch dimensions if they differ."""
        axis = operator.options.get("axis", 0)
        batch_dims = operator.options.get("batch_dims", 0)
        if axis == batch_dims:
            return None
        return f"has axis {axis} and batch_dims {batch_dims} (rule: both the same)"


class Reduction(TableLimit):
    """The reduced axes meet all conditions; each part of the table is one condition.

    Example:
        >>> Reduction({"axis_below": 4096}).describe()
        'each reduced axis below 4,096'
    """

    parts = {
        "axes": "the lists of axes that are taken",
        "axis_below": "a bound on each reduced axis",
        "elements": "the most reduced elements by type",
        "depth_only": "true where nothing but the channels is reduced",
        "depth_multiple": "what channels must be a multiple of when reduced",
        "depth_needs_one": "true where channels are reduced only if height, width or they are 1",
    }

    def problem(self, operator: Operator) -> str | None:
        """Return the first condition that does not hold."""
        tensor, axes = operators.data(operator), operators.axes(operator)
        checks = (
            self._axes,
            self._axis_below,
            self._elements,
            self._depth_only,
            self._depth,
            self._depth_needs_one,
        )
        problems = (check(tensor, axes) for check in checks)
        return next((problem for problem in problems if problem), None)

    def describe(self) -> str:
        """Return the conditions."""
        value, texts = self.value, []
        if "axes" in value:
            texts.append(f"axes {' or '.join(str(axes) for axes in value['axes'])}")
        if "axis_below" in value:
            texts.append(f"each reduced axis below {value['axis_below']:,}")
        if "elements" in value:
            most = ", ".join(f"{count:,} of {kind}" for kind, count in value["elements"].items())
            texts.append(f"at most {most} reduced")
        if value.get("depth_only"):
            texts.append("along channels only")
        if "depth_multiple" in value:
            texts.append(f"channels reduced only in multiples of {value['depth_multiple']}")
        if value.get("depth_needs_one"):
            texts.append("channels reduced only if height, width or channels are 1")
        return "; ".join(texts)

    def _axes(self, _, axes):
        if "axes" in self.value and sorted(axes) not in [sorted(a) for a in self.value["axes"]]:
            return f"reduces axes {list(axes)} (rule: {self.describe()})"
        return None

    def _axis_below(self, tensor, axes):
        longest = max((tensor.shape[axis] for axis in axes), default=0)
        if longest >= self.value.get("axis_below", math.inf):
            return f"reduces an axis of {longest:,} (rule: below {self.value['axis_below']:,})"
        return None

    def _elements(self, tensor, axes):
        count = math.prod(tensor.shape[axis] for axis in axes)
        most = self.value.get("elements", {}).get(str(tensor.dtype), math.inf)
        return f"reduces {count:,} elements (most: {most:,})" if count > most else None

    def _depth_only(self, tensor, axes):
        if not self.value.get("depth_only") or axes == (len(tensor.shape) - 1,):
            return None
        return f"works along axes {list(axes)} (rule: channels only)"

    def _depth(self, tensor, axes):
        multiple = self.value.get("depth_multiple", 1)
        if len(tensor.shape) - 1 in axes and tensor.shape[-1] % multiple:
            return f"reduces {tensor.shape[-1]} channels (rule: a multiple of {multiple})"
        return None

    def _depth_needs_one(self, tensor, axes):
        if not self.value.get("depth_needs_one") or len(tensor.shape) - 1 not in axes:
            return None
        if 1 in (*height_and_width(tensor), tensor.shape[-1]):
            return None
        return "reduces channels of a map that is more than 1 high, wide and deep"
