"""Read the `.npz` files that verbs take: `x`, or one array for each input, and `y`."""

import math
import warnings
import zipfile

import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.support import archives


def load_arrays(path):
    """Read an `.npz` file; nothing is allocated before sizes are known to fit.

    Args:
        path: File with `x`, or one array for each input name, and, for evaluation, `y`.

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
            "An .npz file of plain arrays is wanted, as numpy.savez(path, x=..., y=...) writes "
            f"it. Received: {path} ({' '.join(str(error).split())})"
        ) from error
    labels = arrays.pop("y", None)
    if not arrays:
        raise InvalidArgumentError(
            "The .npz file must hold x, or one array for each input. "
            f"Received: {path} with {'y alone' if labels is not None else 'no array'}"
        )
    return arrays.get("x") if set(arrays) == {"x"} else arrays, labels


def _name(member):
    if not member.endswith(".npy"):
        raise ValueError(f"{member!r} is no array")
    return member.removesuffix(".npy")


def _read(archive, member, size):
    with archive.open(member) as stream:
        shape, kind = _header(stream)
        # An object's bytes are a pickle, and a pickle is a program.
        if kind.hasobject or not kind.itemsize:
            raise ValueError(f"{member!r} holds values of type {kind}, not plain numbers")
        wanted = math.prod(shape) * kind.itemsize
        if stream.tell() + wanted != size or min(shape, default=0) < 0:
            raise ValueError(
                f"{member!r} claims {wanted:,} bytes of shape {shape}, and {size:,} are there"
            )
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


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
