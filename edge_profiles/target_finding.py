"""Findings of a check of a file for a target, and their severity."""

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
    """One problem that a check of a file for a target has found.

    Args:
        code: Name of its kind, the same for every file: `"float_island"`, `"sram_over_budget"`, ...
        severity: `"error"`: the file does not run; `"fallback"`: a part runs elsewhere;
            `"warning"`: it runs, but worse than it could.
        operator: Name of the operator; `None` if it concerns the whole file.
        index: Its position in the order of execution.
        layer: The Keras layer that it came from; `None` if unknown.
        message: The problem, in one sentence.
        fix: What to change.
    """

    severity: Severity
    index: int | None = None
