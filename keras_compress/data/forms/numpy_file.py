"""The paths of `.npz` and `.npy` files, which may be untrusted."""

import math
import os
import zipfile
from typing import Any

import numpy as np

from keras_compress.data.array_source import ArraySource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import archives, process_state, regular_files


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are the path of a file that numpy writes."""
    return isinstance(data, str | os.PathLike) and os.fspath(data).endswith((".npz", ".npy"))


def read(data: Any, inputs: Inputs) -> Source:
    """Return the arrays of a file; a `.npy` file is memory-mapped.

    Args:
        data: Path of a `.npy` file of samples, or of an `.npz` file with `x`, or one array for
            each input name, and `y` for the targets.
        inputs: `InputSpec` of each input. If an input is called `y`, there can be no targets.

    Returns:
        An `ArraySource`.

    Raises:
        InvalidArgumentError: As for `load_arrays`.
    """
    if os.fspath(data).endswith(".npy"):
        return ArraySource(_map_file(data))
    labels_name = None if any(spec.name == "y" for spec in inputs or ()) else "y"
    return ArraySource(*load_arrays(data, labels_name))


def load_arrays(
    path: str | os.PathLike, labels_name: str | None = "y"
) -> tuple[Any, np.ndarray | None]:
    """Read an `.npz` file; sizes are checked before memory is allocated.

    Args:
        path: File with `x`, or one array for each input name, and optionally the labels.
        labels_name: Name of the labels' array; `None` if all arrays are inputs.

    Returns:
        Tuple (inputs, labels): an array or a dict of arrays, and an array or `None`.

    Raises:
        InvalidArgumentError: The file is not an `.npz` of plain arrays, has no inputs, or unpacks
            to more than half of the machine's memory.
    """
    sizes = archives.check(path)
    try:
        # numpy warns about headers that Python 2 wrote.
        with process_state.without_warnings(), zipfile.ZipFile(path) as archive:
            arrays = {_name(m): _read(archive, m, size) for m, size in sizes.items()}
    except Exception as error:
        # zipfile, zlib and numpy raise errors of any type on bad bytes.
        raise InvalidArgumentError(
            "An .npz file must contain plain arrays, as numpy.savez(path, x=..., y=...) writes "
            f"them. Received: {path} ({' '.join(str(error).split())})"
        ) from error
    labels = arrays.pop(labels_name, None)
    if not arrays:
        raise InvalidArgumentError(
            "The .npz file must contain x, or one array for each input. "
            f"Received: {path} with {'only y' if labels is not None else 'no array'}"
        )
    return arrays.get("x") if set(arrays) == {"x"} else arrays, labels


def _map_file(path):
    regular_files.check(path)
    try:
        with open(path, "rb") as stream:
            _checked_header(stream, os.path.basename(path), os.path.getsize(path))
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # As above; an empty array cannot be mapped.
        raise InvalidArgumentError(
            "A .npy file must contain one plain array of samples, as numpy.save(path, x) "
            f"writes it. Received: {path} ({' '.join(str(error).split())})"
        ) from error


def _name(member):
    if not member.endswith(".npy"):
        raise ValueError(f"{member!r} is not an array")
    return member.removesuffix(".npy")


def _read(archive, member, size):
    with archive.open(member) as stream:
        _checked_header(stream, member, size)
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _checked_header(stream, name, size):
    """Raise an error unless the header is that of a plain array of the available size."""
    shape, kind = _header(stream)
    # Objects are stored as pickles, and loading a pickle can run any code.
    if kind.hasobject or not kind.itemsize:
        raise ValueError(f"{name!r} holds values of type {kind}, not plain numbers")
    claimed = math.prod(shape) * kind.itemsize
    if stream.tell() + claimed != size or min(shape, default=0) < 0:
        raise ValueError(
            f"{name!r} claims {claimed:,} bytes of shape {shape}, but has {size:,} bytes in all"
        )


def _header(stream):
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of numpy's format is not supported")
    shape, _, kind = readers[version](stream)
    return shape, kind
