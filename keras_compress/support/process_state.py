"""Switches of the whole process: changed by one thread at a time, and put back.

Filters of warnings, standard error and TensorFlow's eager mode belong to the process. Two threads
that change and restore one at the same time can leave it changed for good: each takes the other's
value for the user's.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

# Reentrant, because whoever changes one switch may change another one inside.
_lock = threading.RLock()


@contextlib.contextmanager
def without_warnings(message: str = "") -> Iterator[None]:
    """Ignore warnings for the duration of a `with`.

    Args:
        message: Regular expression for the start of the warnings' text. Default: all.

    Example:
        >>> with without_warnings():
        ...     warnings.warn("not shown")
    """
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message)
        yield


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Discard what Python code writes to standard error for the duration of a `with`."""
    with _lock, contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def without_functions() -> Iterator[None]:
    """Run the Python code of a `tf.function` wherever one is called, for a `with`.

    While it lasts, functions of other threads run eagerly too: with the same results, but slowly.
    """
    import tensorflow as tf

    with _lock:
        before = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def without_notices(logger: "logging.Logger") -> Iterator[None]:
    """Drop what this thread logs below the level of a warning, for the duration of a `with`.

    Args:
        logger: The logger. Its level, which other threads share, stays.
    """
    import logging  # Only where a logger is: an inference on a device starts without it.

    thread = threading.get_ident()

    def is_kept(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno >= logging.WARNING

    logger.addFilter(is_kept)
    try:
        yield
    finally:
        logger.removeFilter(is_kept)
