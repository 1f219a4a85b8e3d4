"""The exceptions of the package."""

import difflib
from collections.abc import Iterable
from typing import Any


class CompressionError(Exception):
    """The base class of every error that keras_compress raises on purpose."""


class InvalidArgumentError(CompressionError, ValueError):
    """An invalid argument; the message states the rule and the value received."""


class UnknownNameError(InvalidArgumentError):
    """A name that no plugin, profile or layer has; the message suggests the closest one."""

    def __init__(self, kind: str, name: object, known: Iterable[str]):
        known = sorted(known)
        closest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
        hint = f" Did you mean {closest[0]!r}?" if closest else ""
        super().__init__(f"Unknown {kind}.{hint} Known: {', '.join(known)}. Received: {name!r}")


class UnsupportedModelError(InvalidArgumentError):
    """A model that cannot be traced: unbuilt, subclassed or not a Keras model."""


class FlatbufferError(InvalidArgumentError):
    """Bytes that are not a readable TFLite flatbuffer."""


class ConversionError(CompressionError, RuntimeError):
    """A failed conversion, or a converted file that fails a check.

    Args:
        message: The failed check, the operator, the Keras layer and what to do.
        findings: Tuple of the individual findings, for use by programs.
    """

    def __init__(self, message: str, findings: Iterable[Any] = ()):
        super().__init__(message)
        self.findings = tuple(findings)


class EvaluationError(CompressionError, RuntimeError):
    """A file that an interpreter rejects, or data that do not match the file."""


class ProfileError(InvalidArgumentError):
    """An invalid profile file; the message states the line, the key and the rule."""


class MissingPackageError(CompressionError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""
