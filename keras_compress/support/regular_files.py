"""Only regular files are opened: reading a pipe or a device may never end."""

import os
import stat

from keras_compress.errors import InvalidArgumentError

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check(
    path: str | os.PathLike, error: type[InvalidArgumentError] = InvalidArgumentError
) -> None:
    """Refuse pipes, sockets and devices; nothing is opened.

    Args:
        path: A path. Where nothing is there, opening it tells.
        error: Class of the error to raise.

    Raises:
        InvalidArgumentError: The path leads to something that may be read without end.

    Example:
        >>> check(".")
        >>> try:
        ...     check(os.devnull)
        ... except InvalidArgumentError as error:
        ...     print(str(error).split(":")[0])
        A path must lead to a regular file
    """
    kind = special_kind(path)
    if kind:
        raise error(
            "A path must lead to a regular file: reading anything else may never end. Write the "
            f"data to a file first. Received: {os.fspath(path)!r}, {kind}"
        )


def special_kind(path: str | os.PathLike) -> str | None:
    """Return `"a pipe"`, `"a socket"` or `"a device"` if that is what is at a path.

    Args:
        path: A path.

    Returns:
        A noun phrase, or `None` for a regular file, for a folder, and where nothing is there.

    Example:
        >>> special_kind(os.devnull)
        'a device'
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), None)
