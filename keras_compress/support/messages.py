"""Messages between a process and its child: a line of JSON, then the raw bytes of arrays."""

import json
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np


def answer_stream() -> BinaryIO:
    """Return a child's standard output as a stream for messages.

    From then on, anything else that is printed, even by C++, goes to standard error.

    Returns:
        Binary stream.

    Example:
        >>> send(answer_stream(), {"accuracy": 0.9})  # doctest: +SKIP
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def send(stream: Any, message: dict, arrays: Sequence = ()) -> None:
    """Write one message.

    Args:
        stream: Binary stream.
        message: Dict of JSON values.
        arrays: Numpy arrays to send with it.
    """
    arrays = [np.ascontiguousarray(array) for array in arrays]
    header = {
        "message": message,
        "arrays": [{"dtype": array.dtype.str, "shape": array.shape} for array in arrays],
    }
    stream.write(json.dumps(header).encode() + b"\n")
    for array in arrays:
        stream.write(array.data.cast("B") if array.size else b"")
    stream.flush()


def receive(stream: Any) -> tuple[dict, list[np.ndarray]]:
    """Read one message.

    Args:
        stream: Binary stream.

    Returns:
        The pair of dict and list of arrays.

    Raises:
        EOFError: The other process ended.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    header = json.loads(line)
    return header["message"], [_read_array(stream, **entry) for entry in header["arrays"]]


def _read_array(stream, dtype, shape):
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(data, dtype).reshape(shape)
