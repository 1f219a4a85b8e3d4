"""Modules that have moved: the old path forwards to the new one, with a warning."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def forward(old: str, new: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module that has moved.

    Args:
        old: The module's former path.
        new: Its current path.

    Returns:
        A function for the old module (PEP 562). It looks a name up in the new module, and issues a
        `DeprecationWarning` at the line that used it.

    Example:
        >>> __getattr__ = forward("keras_compress.subclassed", "keras_compress.graph.subclassed")
    """

    def look_up(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(new), name)
        message = f"{old} has moved: import {name} from {new}."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return value

    return look_up
