"""The options of a conversion: the profile's rules combined with the caller's arguments."""

import dataclasses
import enum
from collections.abc import Iterable
from typing import Any, Self

from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError


class Mode(enum.StrEnum):
    """How numbers are stored in the file."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"  # float16 weights, computed in float
    DYNAMIC_RANGE = "dynamic_range"  # integer weights, activations quantized at run time
    INT8 = "int8"
    INT16X8 = "int16x8"  # int16 activations, int8 weights


# (bits of weights, bits of activations) of a profile; integer weights may be narrower.
_MODES = {
    (32, 32): Mode.FLOAT32,
    (16, 32): Mode.FLOAT16,
    (8, 32): Mode.DYNAMIC_RANGE,
    (8, 8): Mode.INT8,
    (8, 16): Mode.INT16X8,
}
_IO_TYPES = {
    Mode.FLOAT32: ("float32",),
    Mode.FLOAT16: ("float32",),
    Mode.DYNAMIC_RANGE: ("float32",),
    Mode.INT8: ("int8", "uint8", "float32"),
    Mode.INT16X8: ("int16", "float32"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """The options of a conversion, and thereby what its file is checked against.

    Args:
        mode: A `Mode`.
        input_type: Type of the file's inputs: `"int8"`, `"uint8"`, `"int16"`, `"float32"`.
        output_type: Type of the file's outputs.
        per_channel: Whether convolutions have one weight scale for each output channel.
        per_channel_dense: The same for Dense layers.
        allow_float: Names of operators (`"ELU"`) and layers that may stay in float.
        batch_size: Fixed size of the first dimension.

    Raises:
        InvalidArgumentError: The mode does not support a type, or the batch size is not a whole
            number above 0.

    Example:
        >>> ConversionOptions(input_type="uint8").mode
        <Mode.INT8: 'int8'>
    """

    mode: Mode = Mode.INT8
    input_type: str = "int8"
    output_type: str = "int8"
    per_channel: bool = True
    per_channel_dense: bool = True
    allow_float: frozenset[str] = frozenset()
    batch_size: int = 1

    def __post_init__(self):
        if self.mode not in list(Mode):
            raise InvalidArgumentError(
                f"mode must be one of {', '.join(Mode)}. Received: {self.mode!r}"
            )
        object.__setattr__(self, "mode", Mode(self.mode))
        for argument in ("input_type", "output_type"):
            value = getattr(self, argument)
            if value not in _IO_TYPES[self.mode]:
                raise InvalidArgumentError(
                    f"{argument} must be one of {', '.join(_IO_TYPES[self.mode])} in a "
                    f"{self.mode} file. Received: {value!r}"
                )
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise InvalidArgumentError(
                f"batch_size must be a whole number above 0. Received: {self.batch_size!r}"
            )

    @property
    def is_quantized(self) -> bool:
        """Whether the file computes in integers."""
        return self.mode in (Mode.INT8, Mode.INT16X8)

    @property
    def has_integer_weights(self) -> bool:
        """Whether the file stores its weights as integers."""
        return self.is_quantized or self.mode is Mode.DYNAMIC_RANGE

    @property
    def activation_type(self) -> str:
        """Type of the activations inside the file."""
        return {Mode.INT8: "int8", Mode.INT16X8: "int16"}.get(self.mode, "float32")

    @classmethod
    def from_profile(
        cls,
        profile: Profile,
        *,
        input_type: str | None = None,
        output_type: str | None = None,
        allow_float: str | Iterable[str] = (),
        **kwargs: Any,
    ) -> Self:
        """Make options from a profile; the caller's arguments override the profile's.

        Args:
            profile: A `Profile`.
            input_type: Type of the inputs; `None` uses the profile's.
            output_type: Type of the outputs; `None` uses the profile's.
            allow_float: One name or several.
            **kwargs: Further fields, which override the profile's.

        Returns:
            The options.
        """
        weight_bits = max(profile.weight_bits[0], 8)
        if isinstance(allow_float, str):
            allow_float = (allow_float,)
        from_profile = {
            "input_type": input_type or profile.input_type,
            "output_type": output_type or profile.output_type,
            "per_channel": profile.per_channel,
            "per_channel_dense": profile.per_channel_dense,
        }
        return cls(
            mode=_MODES[weight_bits, profile.activation_bits],
            allow_float=frozenset(allow_float),
            **{**from_profile, **kwargs},
        )
