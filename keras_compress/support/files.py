"""Atomically written files, and temporary folders that are removed even after a crash.

A process that is killed cannot clean up. Its unfinished files are locked as long as it lives, so
that the next process that writes the same file, or creates a temporary folder, can tell which ones
are left over and removes them.
"""

import contextlib
import glob
import os
import re
import shutil
import tempfile
from pathlib import Path

from keras_compress.errors import InvalidArgumentError

try:
    import fcntl
except ImportError:  # Windows has no such locks, so that leftovers are kept there.
    fcntl = None  # type: ignore[assignment]

_ASIDE = "unfinished"
_FOLDER = "keras_compress_tmp_"
_FOLDER_NAME = re.compile(_FOLDER + r"[a-z0-9_]{8}")


def write_atomically(path, content):
    """Write a temporary file in the same folder, then rename it.

    Temporary files of processes that were killed are removed.

    Args:
        path: Where the file goes; missing folders are created.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path as a `pathlib.Path`.

    Raises:
        InvalidArgumentError: The path is a folder.

    Example:
        >>> write_atomically("report.txt", "all well").read_text()
        'all well'
    """
    with whole_file(path) as aside, open(aside, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return Path(path)


@contextlib.contextmanager
def whole_file(path):
    """Provide a temporary path to write to, and rename it to the real path at the end.

    Args:
        path: Where the file goes; missing folders are created.

    Yields:
        The path of an empty file in the same folder, with the same ending.

    Raises:
        InvalidArgumentError: The path is a folder.

    Example:
        >>> with whole_file("model.txt") as aside:
        ...     _ = Path(aside).write_text("all well")
        >>> Path("model.txt").read_text()
        'all well'
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidArgumentError(f"The path must be that of a file. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    handle, aside = _make_locked(lambda: _make_aside(path))
    try:
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_folder():
    """Create a folder for the duration of a `with`; remove those of processes that were killed.

    Yields:
        The folder's path as a `pathlib.Path`.

    Example:
        >>> with temporary_folder() as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    _remove_left_over_folders()
    handle, folder = _make_locked(_make_folder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _make_aside(path):
    return tempfile.mkstemp(path.suffix, f".{path.name}.{_ASIDE}.", path.parent)


def _make_folder():
    folder = tempfile.mkdtemp(prefix=_FOLDER)
    return os.open(folder, os.O_RDONLY), folder


def _make_locked(make):
    """Create a file or folder, and lock it before others can mistake it for a leftover."""
    while True:
        try:
            handle, path = make()
        except FileNotFoundError:
            # Removed as a leftover between being created and being opened.
            continue
        if _lock(handle) and _is_there(handle, path):
            return handle, path
        os.close(handle)


def _lock(handle):
    """Lock an open file or folder; return `False` if another process holds the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks.
        return True
    return True


def _is_there(handle, path):
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_left_over(path):
    """Remove temporary files of a path whose writers are dead."""
    pattern = f".{glob.escape(path.name)}.{_ASIDE}.????????{glob.escape(path.suffix)}"
    for name in glob.glob(pattern, root_dir=path.parent):
        _remove_if_dead(path.parent / name, os.unlink)


def _remove_left_over_folders():
    root = tempfile.gettempdir()
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if _FOLDER_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_if_dead(entry.path, shutil.rmtree)


def _remove_if_dead(path, remove):
    if fcntl is None:
        return
    # Another process may hold it, or another user may own it.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(handle)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
