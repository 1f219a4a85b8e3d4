"""The window of a pooling."""

from keras_compress.edge_profiles.limits.base import TableLimit


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

    def accepts(self, value):
        """Take a table of whole numbers."""
        return super().accepts(value) and all(type(number) is int for number in value.values())

    def problem(self, operator):
        """Give the window where it is too large."""
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

    def describe(self):
        """State the rule."""
        parts = [f"{self.value['area']:,} elements"] if "area" in self.value else []
        parts += [f"{self.value['height']} high"] if "height" in self.value else []
        text = f"window up to {' and '.join(parts)}" if parts else "window of any size"
        side = self.value.get("side_if_same")
        return f"{text}, up to {side}x{side} with SAME padding" if side else text
