"""The base classes of limits: rules with a parameter from a profile, which operators must keep."""

import abc
import dataclasses
from typing import Any, ClassVar

from keras_compress.tflite.model import Operator


@dataclasses.dataclass(frozen=True)
class Limit(abc.ABC):
    """A rule that an operator must keep for a target to support it.

    A profile names the rule by its class and sets the parameter: the entry
    `CONV_2D = { max_version = 5 }` makes `MaxVersion(5)`.

    Args:
        value: The parameter, as the profile's TOML file has it.

    Raises:
        ValueError: The rule does not accept the parameter; the message says what is allowed.
    """

    value: Any

    @property
    @abc.abstractmethod
    def allowed(self) -> str:
        """What the parameter may be, for error messages."""

    def __post_init__(self):
        if not self.accepts(self.value):
            raise ValueError(self.allowed)

    @abc.abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether `value` is a valid parameter of the rule."""

    @abc.abstractmethod
    def problem(self, operator: Operator) -> str | None:
        """Return how an operator breaks the rule.

        Args:
            operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

        Returns:
            Text that follows "CONV_2D: "; `None` if the rule is kept.
        """

    @abc.abstractmethod
    def describe(self) -> str:
        """Return a short description of the rule, for the table in the documentation."""


class FlagLimit(Limit):
    """A rule that is on or off: one of `true` and `false` turns it on, the other off."""

    allowed = "true or false"
    rule: ClassVar[str]
    set_by: ClassVar[bool] = True

    def accepts(self, value: Any) -> bool:
        """Take true and false."""
        return isinstance(value, bool)

    def problem(self, operator: Operator) -> str | None:
        """Return how an operator breaks the rule, if it is on."""
        return self.breach(operator) if self.value is self.set_by else None

    def describe(self) -> str:
        """Return the rule, if it is on."""
        return self.rule if self.value is self.set_by else ""

    @abc.abstractmethod
    def breach(self, operator: Operator) -> str | None:
        """Return how an operator breaks the rule; `None` if it keeps it."""


class WholeLimit(Limit):
    """A rule whose parameter is a whole number above zero."""

    allowed = "a whole number above 0"

    def accepts(self, value: Any) -> bool:
        """Take a whole number above 0."""
        return type(value) is int and value > 0


class CountLimit(Limit):
    """A rule whose parameter is a list of the least and the most."""

    allowed = "a list of the least and the most"
    counted: ClassVar[str]

    def accepts(self, value: Any) -> bool:
        """Take two whole numbers."""
        return isinstance(value, list) and [type(v) for v in value] == [int, int]

    def problem(self, operator: Operator) -> str | None:
        """Return the number if it is outside the range."""
        number = self.count(operator)
        if self.value[0] <= number <= self.value[1]:
            return None
        return f"has {number} {self.counted} (rule: {self.describe()})"

    def describe(self) -> str:
        """Return the range."""
        least, most = self.value
        numbers = f"{least}" if least == most else f"{least} to {most}"
        return f"{numbers} {self.counted}"

    @abc.abstractmethod
    def count(self, operator: Operator) -> int:
        """Return the number that the rule limits."""


class NamesLimit(Limit):
    """A rule whose parameter is a list of names."""

    allowed = "a list of names"

    def accepts(self, value: Any) -> bool:
        """Take a list of texts."""
        return isinstance(value, list) and all(isinstance(name, str) for name in value)


class TableLimit(Limit):
    """A rule of several parts: its parameter is a table with keys of `parts`."""

    parts: ClassVar[dict[str, str]]

    @property
    def allowed(self) -> str:
        """The parts by name."""
        return "a table with " + ", ".join(f"{key} = {what}" for key, what in self.parts.items())

    def accepts(self, value: Any) -> bool:
        """Take a table of known parts."""
        return isinstance(value, dict) and bool(value) and set(value) <= set(self.parts)
