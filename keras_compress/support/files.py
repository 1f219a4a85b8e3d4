"""Atomically written files, and temporary folders that are removed even after a crash.

A process that is killed cannot clean up. Its unfinished files are locked as long as it lives, so
that the next process that writes the same file, or creates a temporary folder, can tell which ones
are left over and removes them.
"""

import contextlib
import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path

from keras_compress.errors import InvalidArgumentError
from keras_compress.support import regular_files

try:
    import fcntl
except ImportError:  # Windows has no such locks, so that leftovers are kept there.
    fcntl = None  # type: ignore[assignment]

_ASIDE = "unfinished"
_FOLDER = "keras_compress_tmp_"
_FOLDER_NAME = re.compile(_FOLDER + r"[a-z0-9_]{8}")
# What a process opened before, under a name: a rename would not reach whoever holds it.
_OPEN_FILES = ("/dev/fd/", "/dev/stdout", "/dev/stderr", "/proc/")
_LONGEST_NAME = 255
_ATTEMPTS = 100
_FULL = (errno.ENOSPC, errno.EDQUOT)
# A disk with less room is full: an error on it that does not say so is due to that.
_LEAST_BYTES = 2**14
_READER_S = 10.0
_POLL_S = 0.02


def write_atomically(path, content):
    """Write a temporary file in the same folder, then rename it.

    Temporary files of processes that were killed are removed. See `whole_file` for links, devices
    and pipes.

    Args:
        path: Where the file goes; missing folders are created. `"-"` is standard output.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path as a `pathlib.Path`.

    Raises:
        InvalidArgumentError: The path is a folder, or no file can be created there.

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

    A link stays, and the file that it leads to is written. A device or pipe is written to, not
    replaced. A file that exists keeps its permissions.

    Args:
        path: Where the file goes; missing folders are created. `"-"` is standard output.

    Yields:
        The path of an empty file with the same ending, in the same folder if the path is that of a
        file.

    Raises:
        InvalidArgumentError: The path is a folder, no file can be created there, the disk is full,
            or nobody reads the pipe.

    Example:
        >>> with whole_file("model.txt") as aside:
        ...     _ = Path(aside).write_text("all well")
        >>> Path("model.txt").read_text()
        'all well'
    """
    path = Path(path)
    # Path.is_dir raises an error for names that are too long.
    if os.path.isdir(path):
        raise InvalidArgumentError(f"The path must be that of a file. Received: the folder {path}")
    if is_stream(path):
        with temporary_folder() as folder:
            aside = folder / f"content{path.suffix}"
            aside.touch()
            yield os.fspath(aside)
            _pour(aside, path)
        return
    with _replaced(Path(os.path.realpath(path))) as aside:
        yield aside


@contextlib.contextmanager
def _replaced(path):
    """Provide a file beside a regular one, and put it in its place at the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name that is too long shows here, not once the file is written.
        with contextlib.suppress(FileNotFoundError):
            os.lstat(path)
        _remove_left_over(path)
        handle, aside = _make_locked(lambda: _make_aside(path))
    except OSError as error:
        raise InvalidArgumentError(
            "The file must be one that can be created: give another path. "
            f"Received: {path} ({error.strerror})"
        ) from error
    try:
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(aside, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise InvalidArgumentError(
                "The disk must have space for the file: free some, or give another path. "
                f"Received: {path} ({error.strerror})"
            ) from error
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_folder():
    """Create a folder for the duration of a `with`; remove those of processes that were killed.

    Yields:
        The folder's path as a `pathlib.Path`.

    Raises:
        InvalidArgumentError: The folder for temporary files does not exist, is full, or has a name
            that is not UTF-8, which TensorFlow cannot open.

    Example:
        >>> with temporary_folder() as folder:
        ...     folder.is_dir()
        True
        >>> folder.exists()
        False
    """
    _remove_left_over_folders()
    try:
        tempfile.gettempdir().encode()
        handle, folder = _make_locked(_make_folder)
    except OSError as error:
        raise _unusable_temporary(error.strerror) from error
    except UnicodeEncodeError as error:
        raise _unusable_temporary("its name is not UTF-8") from error
    try:
        yield Path(folder)
    except Exception as error:  # TensorFlow has errors of its own for a full disk
        if _is_full(folder, error):
            raise _unusable_temporary(os.strerror(errno.ENOSPC)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _unusable_temporary(reason):
    return InvalidArgumentError(
        "The folder for temporary files must exist, have space and a name in UTF-8: set TMPDIR to "
        f"another one. Received: {tempfile.gettempdir()!r} ({reason})"
    )


def _is_full(folder, error):
    """Return whether an error says that a folder's disk is full, or the disk is."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    if any(os.strerror(number) in str(error) for number in _FULL):
        return True
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _LEAST_BYTES


def is_stream(path):
    """Return whether a path is standard output, a device, a pipe or a file that is open already.

    Example:
        >>> is_stream("-"), is_stream("model.tflite")
        (True, False)
    """
    if os.fspath(path) == "-" or os.path.abspath(path).startswith(_OPEN_FILES):
        return True
    return regular_files.special_kind(path) is not None


def _pour(source, path):
    """Write the content of a file to standard output, a device or a pipe."""
    with open(source, "rb") as content:
        if os.fspath(path) == "-":
            sys.stdout.flush()
            shutil.copyfileobj(content, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with open(_open_stream(path), "ab") as stream:
            shutil.copyfileobj(content, stream)


def _open_stream(path):
    """Open a device or pipe for writing; wait some seconds for the reader of a pipe."""
    deadline = time.monotonic() + _READER_S
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            reason = "nobody reads the pipe" if error.errno == errno.ENXIO else error.strerror
            raise InvalidArgumentError(
                "The path must be one that can be written to. Give that of a file, or open the "
                f"other end first. Received: {path} ({reason})"
            ) from error
        os.set_blocking(handle, True)
        return handle


def _make_aside(path):
    """Create a file, with the permissions that the process gives to new ones."""
    aside = path.parent / f"{_aside_prefix(path)}{secrets.token_hex(4)}{path.suffix}"
    return os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), os.fspath(aside)


def _aside_prefix(path):
    name = path.name
    if len(os.fsencode(f".{name}.{_ASIDE}.{'?' * 8}{path.suffix}")) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{name}.{_ASIDE}."


def _make_folder():
    folder = tempfile.mkdtemp(prefix=_FOLDER)
    return os.open(folder, os.O_RDONLY), folder


def _make_locked(make):
    """Create a file or folder, and lock it before others can mistake it for a leftover."""
    for attempt in range(_ATTEMPTS):
        try:
            handle, path = make()
        except (FileNotFoundError, FileExistsError):
            # Removed as a leftover between being created and being opened, or the name is taken.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        if _lock(handle) and _is_there(handle, path):
            return handle, path
        os.close(handle)
    raise FileNotFoundError(errno.ENOENT, "another process removes it again and again")


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
    pattern = f"{glob.escape(_aside_prefix(path))}????????{glob.escape(path.suffix)}"
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
        # A pipe of that name would block without O_NONBLOCK.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(handle)
