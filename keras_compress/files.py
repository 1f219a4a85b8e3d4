"""Files written whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from keras_compress.errors import InvalidArgumentError


def write_atomically(path, content):
    """Write a file aside in the same folder, then put it in its place.

    Args:
        path: Where the file goes; missing folders are made.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path as a `pathlib.Path`.

    Raises:
        InvalidArgumentError: The path is a folder.

    Example:
        >>> write_atomically("report.txt", "all well").read_text()
        'all well'
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidArgumentError(f"A file's path is wanted. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise
    return path


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
