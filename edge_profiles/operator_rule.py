"""The rule of one operator in a target's table: its limits, checkable and in words."""

import dataclasses

from keras_compress.edge_profiles.limits.base import Limit


@dataclasses.dataclass(frozen=True)
class OperatorRule:
    """The entry of one operator in a profile's table.

    Args:
        limits: Name -> limit.
        note: What else is known and cannot be checked in the file.
        source: Where the entry comes from: a name among the profile's sources.
        fatal: Names of the limits that make the target's tools refuse the whole file if broken.
    """

    limits: dict[str, Limit] = dataclasses.field(default_factory=dict, hash=False)
    note: str = ""
    source: str = ""
    fatal: tuple[str, ...] = ()

    def problems(self, operator):
        """List the limits that an operator breaks.

        Args:
            operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

        Returns:
            Tuple of (name of the limit, what is wrong).
        """
        problems = ((name, limit.problem(operator)) for name, limit in self.limits.items())
        return tuple((name, problem) for name, problem in problems if problem)

    def describe(self):
        """State all limits and the note in one line."""
        texts = [limit.describe() for limit in self.limits.values()]
        return "; ".join(text for text in (*texts, self.note) if text)

    def over(self, base):
        """Return this entry with the limits of `base` that it does not set itself."""
        return dataclasses.replace(
            self, limits={**base.limits, **self.limits}, source=self.source or base.source
        )
