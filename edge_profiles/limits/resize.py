"""The factor of a resize."""

from keras_compress.edge_profiles.limits.base import TableLimit


class Resize(TableLimit):
    """The map grows by a factor that the target has.

    The factor is out / in, or (out - 1) / (in - 1) with aligned corners. A 1x1 map and one that
    keeps its size are always taken.

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

    def problem(self, operator):
        """Give the factors where they are not taken."""
        source, target = operator.inputs[0].shape[1:3], operator.outputs[0].shape[1:3]
        if source in ((1, 1), target):
            return None
        shift = 1 if operator.options.get("align_corners") else 0
        factors = [(b - shift) / max(a - shift, 1) for a, b in zip(source, target, strict=True)]
        if all(self._takes(factor, operator) for factor in factors) and self._alike(factors):
            return None
        return f"resizes {list(source)} to {list(target)} (rule: {self.describe()})"

    def _alike(self, factors):
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

    def describe(self):
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
