"""Findings: what the checks of converted files and of targets report."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem or observation about a file.

    Args:
        code: Short stable name of the kind (`"float_operator"`), for programs.
        operator: Name of the operator (`"ELU"`); `None` if it concerns the whole file.
        layer: Name of the Keras layer that the operator comes from, if known.
        message: What was found, in one sentence.
        fix: What to do about it.
    """

    code: str
    operator: str | None = None
    layer: str | None = None
    message: str
    fix: str = ""

    def __str__(self):
        return f"{self.message} {self.fix}".rstrip()

    def to_json(self):
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)
