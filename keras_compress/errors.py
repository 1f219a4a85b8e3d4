"""The errors that users of the package meet, each with the person who reads it in mind."""

import difflib
from collections.abc import Iterable
from typing import Any


class CompressionError(Exception):
    """Base of every error that keras_compress raises on purpose."""


class InvalidArgumentError(CompressionError, ValueError):
    """An argument breaks a rule; the message names the rule and what was received."""


class UnknownNameError(InvalidArgumentError):
    """A name that no plugin, profile or layer carries; the message offers the nearest one."""

    def __init__(self, kind: str, name: object, known: Iterable[str]):
        known = sorted(known)
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"Unknown {kind}.{hint} Known: {', '.join(known)}. Received: {name!r}")


class UnsupportedModelError(InvalidArgumentError):
    """A model that the tool cannot follow: unbuilt, subclassed or not a Keras model."""


class FlatbufferError(InvalidArgumentError):
    """Bytes that are not a readable TFLite flatbuffer."""


class ConversionError(CompressionError, RuntimeError):
    """A conversion that failed, or a file that does not hold what it promises.

    Args:
        message: What does not hold, the operator, the Keras layer and what to do.
        findings: Tuple of the single findings, for programs.
    """

    def __init__(self, message: str, findings: Iterable[Any] = ()):
        super().__init__(message)
        self.findings = tuple(findings)


class EvaluationError(CompressionError, RuntimeError):
    """A file that an interpreter refused, or data that do not fit it."""


class ProfileError(InvalidArgumentError):
    """A profile's file that breaks a rule; the message names the line, the key and the rule."""


class MissingPackageError(CompressionError, ImportError):
    """A package that only this task needs is not installed; the message names the extra."""
