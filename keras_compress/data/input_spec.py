"""The name, shape and type of a model's input."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """One input of a model.

    Args:
        name: Its name.
        shape: Shape of one sample, without the batch dimension; `None` for a free size.
        dtype: Name of its data type.
        expected_range: (minimum, maximum) that the model was trained on, if known.
        key: Its key in dicts of inputs, if that is not its name.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    expected_range: tuple[float, float] | None = None
    key: str | None = None

    def is_sample(self, shape: Sequence[int]) -> bool:
        """Return whether an array of this shape is one sample."""
        return len(shape) == len(self.shape) and all(
            size in (None, given) for size, given in zip(self.shape, shape, strict=True)
        )

    def is_batch(self, shape: Sequence[int]) -> bool:
        """Return whether an array of this shape is a batch of samples."""
        return bool(shape) and self.is_sample(shape[1:])

    def __str__(self):
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} (samples of shape [{sizes}])"


# The inputs of the model that data are for, if known.
Inputs = Sequence[InputSpec] | None
