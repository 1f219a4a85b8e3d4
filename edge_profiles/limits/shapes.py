"""The shapes of feature maps."""

import itertools
import math

from keras_compress.edge_profiles.limits.base import FlagLimit, TableLimit, WholeLimit
from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator, Tensor
from keras_compress.tflite.operators import OperandRole


def height_and_width(tensor: Tensor) -> tuple[int, int]:
    """Return the two dimensions before the channels, 1 if the tensor has no such dimension."""
    padded = (1, 1, 1, *tensor.shape)
    return padded[-3], padded[-2]


class MaxRank(WholeLimit):
    """Feature maps have at most the given number of dimensions.

    Example:
        >>> MaxRank(5).describe()
        'up to 5 dimensions'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the number of dimensions if it is too large."""
        rank = max(len(tensor.shape) for tensor in operators.feature_maps(operator))
        if rank <= self.value:
            return None
        return f"works on {rank} dimensions (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"up to {self.value} dimensions"


class InnerDimensions(WholeLimit):
    """Only the given number of innermost dimensions are larger than 1.

    Example:
        >>> InnerDimensions(3).describe()
        'only the 3 innermost dimensions above 1'
    """

    def problem(self, operator: Operator) -> str | None:
        """Give the shape that has more."""
        for tensor in operators.feature_maps(operator):
            if any(size > 1 for size in tensor.shape[: -self.value]):
                return f"works on shape {list(tensor.shape)} (rule: {self.describe()})"
        return None

    def describe(self) -> str:
        """State the number."""
        if self.value == 1:
            return "only the innermost dimension above 1"
        return f"only the {self.value} innermost dimensions above 1"


class OutputDimensions(WholeLimit):
    """Only the given number of innermost dimensions of the output are larger than 1.

    Example:
        >>> OutputDimensions(1).describe()
        'output of 1 dimension above 1'
    """

    def problem(self, operator: Operator) -> str | None:
        """Give the shape that has more."""
        shape = operator.outputs[0].shape
        if all(size == 1 for size in shape[: -self.value]):
            return None
        return f"makes shape {list(shape)} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"output of {self.value} dimension{'s' if self.value > 1 else ''} above 1"


class MaxBatch(WholeLimit):
    """The first dimension is at most the given number.

    Example:
        >>> MaxBatch(1).describe()
        'batch of 1'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the batch if it is too large."""
        tensor = operators.data(operator)
        if tensor is None or not tensor.shape or tensor.shape[0] <= self.value:
            return None
        return f"works on a batch of {tensor.shape[0]} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"batch of {self.value}" if self.value == 1 else f"batch up to {self.value}"


class MaxElements(WholeLimit):
    """The input has at most the given number of elements.

    Example:
        >>> MaxElements(16000).describe()
        'up to 16,000 elements'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the number if it is too large."""
        tensor = operators.data(operator)
        if tensor is None or tensor.size <= self.value:
            return None
        return f"works on {tensor.size:,} elements (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"up to {self.value:,} elements"


class MaxArea(WholeLimit):
    """Height times width of the input is at most the given number.

    Example:
        >>> MaxArea(65535).describe()
        'height times width up to 65,535'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the area if it is too large."""
        height, width = height_and_width(operators.required(operator, OperandRole.DATA))
        if height * width <= self.value:
            return None
        return f"works on {height}x{width} positions (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"height times width up to {self.value:,}"


class TransposedArea(WholeLimit):
    """The product of any rank - 2 axes of a transposed tensor is at most the given number.

    Example:
        >>> TransposedArea(65536).describe()
        'product of any rank - 2 axes up to 65,536'
    """

    def problem(self, operator: Operator) -> str | None:
        """Return the product if it is too large."""
        shape = operators.required(operator, OperandRole.DATA).shape
        chosen = itertools.combinations(shape, max(len(shape) - 2, 0))
        largest = max(math.prod(sizes) for sizes in chosen)
        if largest <= self.value:
            return None
        return f"transposes {list(shape)} (rule: {self.describe()})"

    def describe(self) -> str:
        """State the number."""
        return f"product of any rank - 2 axes up to {self.value:,}"


class TransposedShape(FlagLimit):
    """With `true`, the output is in * stride, with VALID padding plus kernel - stride.

    Example:
        >>> TransposedShape(True).describe()
        'output is input * stride (+ kernel - stride with VALID padding)'
    """

    rule = "output is input * stride (+ kernel - stride with VALID padding)"

    def breach(self, operator: Operator) -> str | None:
        """Return the sizes if they do not match."""
        source = operators.required(operator, OperandRole.DATA).shape[1:3]
        kernel = operators.required(operator, OperandRole.WEIGHTS).shape[1:3]
        target = operator.outputs[0].shape[1:3]
        stride = operator.options["stride_h"], operator.options["stride_w"]
        valid = operator.options.get("padding") == "VALID"
        expected = tuple(
            a * s + (k - s if valid else 0) for a, s, k in zip(source, stride, kernel, strict=True)
        )
        if expected == target:
            return None
        return f"makes {list(target)} of {list(source)} (rule: {list(expected)})"


class Resize(TableLimit):
    """The map grows by a factor that the target supports.

    The factor is out / in, or (out - 1) / (in - 1) with aligned corners. A 1x1 map and one that
    keeps its size are always supported.

    Example:
        >>> Resize({"factors": [2, 4, 8]}).describe()
        'factor 2, 4, 8, the same in height and width'
    """

    parts = {
        "factors": "the factors that are taken",
        "half_pixel_factors": "the same, with half-pixel centers",
        "max_factor": "the largest whole factor",
        "power_of_two": "true where factors are powers of two",
    }

    def problem(self, operator: Operator) -> str | None:
        """Return the sizes if the factors are not supported."""
        source = operators.required(operator, OperandRole.DATA).shape[1:3]
        target = operator.outputs[0].shape[1:3]
        if source in ((1, 1), target):
            return None
        shift = 1 if operator.options.get("align_corners") else 0
        factors = [(b - shift) / max(a - shift, 1) for a, b in zip(source, target, strict=True)]
        if all(self._takes(factor, operator) for factor in factors) and self._is_uniform(factors):
            return None
        return f"resizes {list(source)} to {list(target)} (rule: {self.describe()})"

    def _is_uniform(self, factors):
        return "factors" not in self.value or factors[0] == factors[1]

    def _takes(self, factor, operator):
        half = operator.options.get("half_pixel_centers")
        listed = self.value.get("half_pixel_factors" if half else "factors")
        listed = self.value.get("factors") if listed is None else listed
        if listed is not None and factor not in listed:
            return False
        power = factor.is_integer() and int(factor).bit_count() == 1
        return factor <= self.value.get("max_factor", factor) and (
            power or not self.value.get("power_of_two")
        )

    def describe(self) -> str:
        """State the factors."""
        value, texts = self.value, []
        if "factors" in value:
            factors = ", ".join(map(str, value["factors"]))
            texts.append(f"factor {factors}, the same in height and width")
        if "half_pixel_factors" in value:
            factors = ", ".join(map(str, value["half_pixel_factors"]))
            texts.append(f"{factors} with half-pixel centers")
        if value.get("power_of_two"):
            texts.append("factor a power of two")
        if "max_factor" in value:
            texts.append(f"factor up to {value['max_factor']:,}")
        return "; ".join(texts)
