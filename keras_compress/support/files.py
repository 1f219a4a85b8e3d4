"""Files written whole or not at all, and folders that do not outlive their process for long.

A process that is killed cannot clean up. What it leaves aside is locked as long as it lives, so
that the next one to write the same file, or to make a temporary folder, knows what is left over.
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
except ImportError:  # Windows has no such locks, and keeps what is left over.
    fcntl = None  # type: ignore[assignment]

_ASIDE = "unfinished"
_FOLDER = "keras_compress_tmp_"
_FOLDER_NAME = re.compile(_FOLDER + r"[a-z0-9_]{8}")


def write_atomically(path, content):
    """Write a file aside in the same folder, then put it in its place.

    What an earlier process left aside when it was killed is removed.

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
    with whole_file(path) as aside, open(aside, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return Path(path)


@contextlib.contextmanager
def whole_file(path):
    """Give a path to write to, and put what was written there in its place at the end.

    Args:
        path: Where the file goes; missing folders are made.

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
        raise InvalidArgumentError(f"A file's path is wanted. Received: the folder {path}")
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
    """Make a folder for the time of a `with`; remove those of processes that were killed.

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
    """Make something and lock it before others can take it for left over."""
    while True:
        try:
            handle, path = make()
        except FileNotFoundError:
            # Taken for left over between being made and being opened.
            continue
        if _lock(handle) and _is_there(handle, path):
            return handle, path
        os.close(handle)


def _lock(handle):
    """Lock an open file or folder; `False` where another process has."""
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
    """Remove what is aside of a path and whose writer is dead."""
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
    # Another process may be at it, or another user own it.
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
