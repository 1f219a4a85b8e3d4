"""The paths of `.npz` and `.npy` files, which may come from anybody."""

import math
import os
import warnings
import zipfile
from typing import Any

import numpy as np

from keras_compress.data.array_source import ArraySource
from keras_compress.data.input_spec import Inputs
from keras_compress.data.source import Source
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import archives


def recognizes(data: Any, inputs: Inputs) -> bool:
    """Return whether data are the path of a file that numpy writes."""
    return isinstance(data, str | os.PathLike) and os.fspath(data).endswith((".npz", ".npy"))


def read(data: Any, inputs: Inputs) -> Source:
    """Return the arrays of a file; a `.npy` file stays on the disk and is mapped into memory.

    Args:
        data: Path of a `.npy` file of samples, or of an `.npz` file with `x`, or one array for
            each input name, and `y` for the targets.
        inputs: `InputSpec` of each input: an input called `y` leaves no name for targets.

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
    """Read an `.npz` file; nothing is allocated before sizes are known to fit.

    Args:
        path: File with `x`, or one array for each input name, and maybe the labels.
        labels_name: Name of the labels' array; `None` where all arrays are inputs.

    Returns:
        Tuple (inputs, labels): an array or a dict of arrays, and an array or `None`.

    Raises:
        InvalidArgumentError: Not an `.npz` of plain arrays, one without inputs, or one that
            unpacks to more than half of the machine's memory.
    """
    sizes = archives.check(path)
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            # numpy warns of headers that Python 2 wrote.
            warnings.simplefilter("ignore")
            arrays = {_name(m): _read(archive, m, size) for m, size in sizes.items()}
    except Exception as error:
        # zipfile, zlib and numpy raise whatever the bytes lead them to.
        raise InvalidArgumentError(
            "An .npz file must hold plain arrays, as numpy.savez(path, x=..., y=...) writes "
            f"them. Received: {path} ({' '.join(str(error).split())})"
        ) from error
    labels = arrays.pop(labels_name, None)
    if not arrays:
        raise InvalidArgumentError(
            "The .npz file must hold x, or one array for each input. "
            f"Received: {path} with {'y alone' if labels is not None else 'no array'}"
        )
    return arrays.get("x") if set(arrays) == {"x"} else arrays, labels


def _map_file(path):
    try:
        with open(path, "rb") as stream:
            _checked_header(stream, os.path.basename(path), os.path.getsize(path))
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # As above; an empty array cannot be mapped.
        raise InvalidArgumentError(
            "A .npy file must hold one plain array with samples in it, as numpy.save(path, x) "
            f"writes it. Received: {path} ({' '.join(str(error).split())})"
        ) from error


def _name(member):
    if not member.endswith(".npy"):
        raise ValueError(f"{member!r} is no array")
    return member.removesuffix(".npy")


def _read(archive, member, size):
    with archive.open(member) as stream:
        _checked_header(stream, member, size)
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _checked_header(stream, name, size):
    """Raise unless the header is that of a plain array of as many bytes as there are."""
    shape, kind = _header(stream)
    # An object's bytes are a pickle, and a pickle is a program.
    if kind.hasobject or not kind.itemsize:
        raise ValueError(f"{name!r} holds values of type {kind}, not plain numbers")
    claimed = math.prod(shape) * kind.itemsize
    if stream.tell() + claimed != size or min(shape, default=0) < 0:
        raise ValueError(
            f"{name!r} claims {claimed:,} bytes of shape {shape}, and {size:,} are there"
        )


def _header(stream):
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"arrays are of version {version} of numpy's format")
    shape, _, kind = readers[version](stream)
    return shape, kind
