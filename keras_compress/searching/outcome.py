"""What a piece of a trial reports, and whether it can be relied on."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_compress.searching.objectives import Objectives


def problem(outcome: Any) -> str:
    """Return what an outcome lacks, in words; empty where it is whole.

    Args:
        outcome: What an executor gave for a job, or what was recorded.

    Example:
        >>> problem({"accuracy": 0.9, "epochs": 3})
        'the outcome lacks seconds'
    """
    if not isinstance(outcome, Mapping):
        return "the job has no outcome"
    if "error" in outcome:
        return ""
    for name in ("epochs", "accuracy", "seconds"):
        if not isinstance(outcome.get(name), int | float):
            return f"the outcome lacks {name}"
    if math.isnan(outcome["accuracy"]):
        return "its metric is not a number"
    return _problem_of_objectives(outcome.get("objectives"))


def file_digests(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the SHA-256 of files in a folder, by their names.

    Args:
        folder: The folder.
        names: Names of files; those that are not there are left out.
    """
    paths = {name: Path(folder) / name for name in names}
    return {name: file_digest(path) for name, path in paths.items() if path.is_file()}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: Its path.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_are_whole(folder: Path | str, digests: Mapping[str, str]) -> bool:
    """Tell whether files still are what they were.

    Args:
        folder: Their folder.
        digests: Their SHA-256 by name.
    """
    return file_digests(Path(folder), list(digests)) == dict(digests)


def _problem_of_objectives(objectives):
    if objectives is None:
        return ""
    try:
        figures = Objectives(**objectives)
        numbers = [figures.accuracy, figures.flash_bytes, figures.macs, figures.inference_cost]
        missing = any(math.isnan(number) for number in numbers)
    except (TypeError, ValueError):
        missing = True
    return "the outcome lacks figures of its file" if missing else ""
