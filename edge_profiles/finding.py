"""One thing that a check found, for people and for programs."""

import dataclasses
import enum


class Severity(enum.StrEnum):
    """What a finding means for the target, the gravest first."""

    ERROR = "error"
    FALLBACK = "fallback"
    WARNING = "warning"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a check found.

    Args:
        code: Its name, the same for every file: `"float_island"`, `"sram_over_budget"`, ...
        severity: `"error"`: the file does not run; `"fallback"`: a part runs elsewhere;
            `"warning"`: it runs, but worse than it could.
        operator: Name of the operator; `None` where the whole file is meant.
        index: Its position in the order of execution.
        layer: The Keras layer that it came from; `None` where nothing tells it.
        message: What is the matter.
        fix: What to change.
    """

    code: str
    severity: Severity
    operator: str | None = None
    index: int | None = None
    layer: str | None = None
    message: str
    fix: str = ""
