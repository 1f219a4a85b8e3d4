"""The rule of one operator in a target's table: its limits, to check and to describe."""

import dataclasses

from keras_compress.edge_profiles.limits.base import Limit


@dataclasses.dataclass(frozen=True)
class OperatorRule:
    """The entry of one operator in a profile's table.

    Args:
        limits: Name -> limit.
        note: Other facts, which cannot be checked in the file.
        source: Where the entry comes from: a key of the profile's sources.
        fatal: Names of limits which, if broken, make the target's tools refuse the whole file.
    """

    limits: dict[str, Limit] = dataclasses.field(default_factory=dict, hash=False)
    note: str = ""
    source: str = ""
    fatal: tuple[str, ...] = ()

    def problems(self, operator):
        """Return the limits that an operator breaks.

        Args:
            operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

        Returns:
            Tuple of (name of the limit, explanation).
        """
        problems = ((name, limit.problem(operator)) for name, limit in self.limits.items())
        return tuple((name, problem) for name, problem in problems if problem)

    def describe(self):
        """Return all limits and the note in one line."""
        texts = [limit.describe() for limit in self.limits.values()]
        return "; ".join(text for text in (*texts, self.note) if text)

    def over(self, base):
        """Return this entry with the limits of `base` that it does not set itself."""
        return dataclasses.replace(
            self, limits={**base.limits, **self.limits}, source=self.source or base.source
        )
