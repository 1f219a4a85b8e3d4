"""One thing found in a file: what checks of conversions and of targets both report."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found in a file.

    Args:
        code: Short stable name of the kind (`"float_operator"`), for programs.
        operator: Name of the operator (`"ELU"`); `None` where the file as a whole is meant.
        layer: Name of the Keras layer that the operator comes from, where it is known.
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
