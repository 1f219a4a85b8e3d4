"""Read a TFLite flatbuffer into plain dataclasses, without TensorFlow.

`read` checks every offset and length that it follows, so that its result is safe to use, and
raises a `FlatbufferError` for anything that it cannot follow. Weights are numpy views into the
file's bytes, not copies.
"""

import os
import struct

from keras_compress.errors import FlatbufferError
from keras_compress.support import regular_files
from keras_compress.tflite import file_kind
from keras_compress.tflite._reader import Reader
from keras_compress.tflite.model import (
    DataType,
    Model,
    Operator,
    Signature,
    Subgraph,
    Tensor,
)
from keras_compress.tflite.types import FileSource

__all__ = ["DataType", "Model", "Operator", "Signature", "Subgraph", "Tensor", "read"]

_MALFORMED = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
)


def read(source: FileSource) -> Model:
    """Read a TFLite flatbuffer.

    Args:
        source: The file's bytes, its path, or an object whose `content` is the bytes
            (a `ConvertedModel`).

    Returns:
        A `Model`.

    Raises:
        FlatbufferError: There is no file, it is not a TFLite file (the message says what it looks
            like), or it is truncated or corrupt.

    Example:
        >>> read(b"PK")
        Traceback (most recent call last):
        ...
        keras_compress.errors.FlatbufferError: A TFLite flatbuffer was expected (bytes 4 to 7 \
are b'TFL3'). Received: plain text.
    """
    content, origin = _content(source)
    if content[4:8] != b"TFL3" or len(content) < 8:
        raise FlatbufferError(
            "A TFLite flatbuffer was expected (bytes 4 to 7 are b'TFL3'). "
            f"Received: {origin}{file_kind.describe_bytes(content)}."
        )
    try:
        return Reader(content).model()
    except FlatbufferError as error:
        raise FlatbufferError(f"{_CORRUPT} {error} Received: {origin}{_size(content)}.") from None
    except _MALFORMED as error:
        raise FlatbufferError(
            f"{_CORRUPT} An offset in it leads outside. Received: {origin}{_size(content)}."
        ) from error


_CORRUPT = "The TFLite flatbuffer is truncated or corrupt."


def _size(content):
    return f"{len(content):,} bytes"


def _content(source):
    """Return the bytes of a source, and a description of where they come from."""
    source = getattr(source, "content", source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), ""
    if not isinstance(source, (str, os.PathLike)):
        raise FlatbufferError(
            "A TFLite model must be bytes, a path or a ConvertedModel. "
            f"Received: an object of type {type(source).__name__}."
        )
    regular_files.check(source, FlatbufferError)
    try:
        with open(source, "rb") as file:
            return file.read(), f"{os.fspath(source)}, "
    except IsADirectoryError:
        received = f"{os.fspath(source)}, {file_kind.describe_path(source)}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        received = f"{os.fspath(source)!r} ({reason})"
    raise FlatbufferError(f"A TFLite model must be a file that can be read. Received: {received}.")
