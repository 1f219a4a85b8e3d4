"""Untrusted HDF5 files (`.h5`, `.weights.h5`, the weights in `.keras`), checked before reading.

HDF5 can store values in other files, or in none: external storage, links and virtual datasets. None
of them belongs in a model's file.
"""

import contextlib
import os
import traceback
from collections.abc import Iterator
from typing import IO, Any

from keras_compress.errors import InvalidArgumentError

# Deflate, shuffle and Fletcher's checksum; others are plugins, loaded from the machine's folders.
_FILTERS = (1, 2, 3)
# Numbers, fixed-length texts, and bytes without a type, as which Keras stores bfloat16.
_KINDS = "biufcSV"
# Weights hardly shrink when they are compressed, unless they are zero.
_LARGEST_EXPANSION = 100
# A link takes more than this in a file, so that a file cannot hold more names.
_LINK_BYTES = 16


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[Any]:
    """Open an untrusted HDF5 file whose values are all in itself.

    Args:
        path: The file.

    Yields:
        A `h5py.File`.

    Raises:
        InvalidArgumentError: As for `check`; the file is damaged, or becomes so while it is read.
    """
    import h5py

    with _damage_explained(f"{os.fspath(path)!r}"), h5py.File(path, "r") as file:
        check(file, os.path.getsize(path), f"{os.fspath(path)!r}")
        yield file


def check_stream(stream: IO[bytes], size: int, origin: str) -> None:
    """Refuse an HDF5 file that is part of another file, as `check` does.

    Args:
        stream: Its bytes, which can be read from any place.
        size: Their number.
        origin: Where they are, for error messages.

    Raises:
        InvalidArgumentError: As for `check`, or the file is damaged.
    """
    import h5py

    with _damage_explained(origin), h5py.File(stream, "r") as file:
        check(file, size, origin)


def check(file: Any, size: int, origin: str) -> None:
    """Refuse an HDF5 file that refers to other files or claims more than it holds.

    The time is proportional to the number of names in the file.

    Args:
        file: The opened `h5py.File`.
        size: Its size in bytes.
        origin: Where it was read from, for error messages.

    Raises:
        InvalidArgumentError: A link is not a hard one, an object has several names, a dataset is
            virtual, external, compressed by an unusual filter or not of numbers, or the datasets
            would take far more bytes than the file.
    """
    import h5py

    total, names = 0, 0
    root = h5py.h5g.open(file.id, b"/")
    seen, pending = {_address(root)}, [root]
    while pending:
        group = pending.pop()
        for name in group:
            names += 1
            item = _follow(group, name, seen, origin)
            if names > size // _LINK_BYTES:
                raise _refused(f"{names:,} names or more", origin)
            if isinstance(item, h5py.h5g.GroupID):
                pending.append(item)
            elif isinstance(item, h5py.h5d.DatasetID):
                total += _dataset_bytes(item, name, origin)
            if total > _LARGEST_EXPANSION * size:
                raise _refused(
                    f"weights that would take {total:,} bytes or more, in {size:,} bytes", origin
                )


def _follow(group, name, seen, origin):
    """Return the object of a name, if the name is its only one."""
    import h5py

    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise _refused(f"{_shown(name)}, a link to another place or file", origin)
    item = h5py.h5o.open(group, name)
    address = _address(item)
    if address in seen:
        raise _refused(f"{_shown(name)}, a second name of the same object", origin)
    seen.add(address)
    return item


def _address(item):
    import h5py

    return h5py.h5o.get_info(item).addr


def _dataset_bytes(dataset, name, origin):
    """Return the size of a dataset whose values are all in the file."""
    import h5py

    settings = dataset.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count():
        raise _refused(f"{_shown(name)}, whose values are in another file", origin)
    filters = {settings.get_filter(place)[0] for place in range(settings.get_nfilters())}
    if not filters <= set(_FILTERS):
        raise _refused(f"{_shown(name)}, compressed by filter {max(filters)}", origin)
    kind = dataset.dtype
    if kind.kind not in _KINDS or kind.hasobject or kind.names:
        raise _refused(f"{_shown(name)}, with values of type {kind}", origin)
    return dataset.get_space().get_simple_extent_npoints() * kind.itemsize


@contextlib.contextmanager
def _damage_explained(origin):
    try:
        yield
    except InvalidArgumentError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        # h5py raises errors of many types on bad bytes.
        reason = " ".join(str(error).split())[:300]
        # Frames hold a property list of HDF5. If the error is kept until Python has ended, HDF5
        # frees the list then, calls back into Python, and the process crashes.
        traceback.clear_frames(error.__traceback__)
        raise InvalidArgumentError(
            f"The HDF5 file is damaged or not a Keras model: {reason} Received: {origin}"
        ) from error


def _refused(what, origin):
    return InvalidArgumentError(
        "An HDF5 file of a model holds all of its values itself, each under one name, plain or "
        "compressed by gzip, as model.save(path) writes it. If you trust the file, load it where "
        f"it was made, and save it again. Received: {what}; {origin}"
    )


def _shown(name, longest=60):
    text = repr(name.decode(errors="replace"))
    return text if len(text) <= longest else f"{text[:longest]} …"
