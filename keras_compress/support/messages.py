"""Messages between a process and its child: a line of JSON, then the raw bytes of arrays."""

import json

import numpy as np


def send(stream, message, arrays=()):
    """Write one message.

    Args:
        stream: Binary stream.
        message: Dict that JSON can hold.
        arrays: Numpy arrays that go with it.
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


def receive(stream):
    """Read one message.

    Args:
        stream: Binary stream.

    Returns:
        The pair of dict and list of arrays.

    Raises:
        EOFError: The other side ended.
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
