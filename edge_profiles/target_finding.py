"""One thing that a check of a file for a target found, and how grave it is."""

import dataclasses
import enum

from keras_compress.support.findings import Finding


class Severity(enum.StrEnum):
    """What a finding means for the target, the most severe first."""

    ERROR = "error"
    FALLBACK = "fallback"
    WARNING = "warning"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetFinding(Finding):
    """One thing that a check of a file for a target found.

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

    severity: Severity
    index: int | None = None
