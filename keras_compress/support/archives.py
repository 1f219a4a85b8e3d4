"""Untrusted zip archives (`.npz`, `.keras`), checked before anything is unpacked."""

import math
import os
import zipfile

from keras_compress.errors import InvalidArgumentError
from keras_compress.support import regular_files

# The methods that numpy and Keras use. Python's decoders of other methods have no size limit.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_MACHINE_SHARE = 0.5
# An array for each input of a model, or a model and the vocabularies of its layers.
_MOST_MEMBERS = 1_000


def check(path, limit_bytes=None):
    """Refuse an archive that cannot be unpacked safely; nothing is unpacked.

    Args:
        path: The file.
        limit_bytes: Largest total size of all unpacked members; `None` for half of the machine's
            memory. `zipfile` never reads a member beyond its declared size.

    Returns:
        Dict from the members' names to their declared sizes in bytes.

    Raises:
        InvalidArgumentError: The file is not a zip archive; it has too many members, or
            members whose names point outside it, that overlap, are encrypted or compressed by an
            unusual method; or its unpacked size is too large.

    Example:
        >>> np.savez("data.npz", x=np.zeros(3))
        >>> check("data.npz")
        {'x.npy': 152}
    """
    regular_files.check(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror or error})") from None
    except Exception as error:
        # zipfile raises errors of any type on bad bytes.
        raise _refused(path, f"is not a zip archive, or is damaged ({error})") from None
    if len(members) > _MOST_MEMBERS:
        raise _refused(path, f"has {len(members):,} members, more than {_MOST_MEMBERS:,}")
    limit_bytes = limit_bytes or _limit()
    total = sum(member.file_size for member in members)
    names = [member.filename for member in members]
    for member in members:
        _check_member(path, member)
    if len(set(names)) < len(names):
        raise _refused(path, "has two members of the same name")
    if sum(member.compress_size for member in members) > os.path.getsize(path):
        raise _refused(path, "has members that overlap")
    if total > limit_bytes:
        raise _refused(path, f"unpacks to {total:,} bytes, more than {limit_bytes:,}")
    return {member.filename: member.file_size for member in members}


def _check_member(path, member):
    parts = member.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise _refused(path, f"has a member whose name points outside it, {member.filename!r}")
    if member.flag_bits & _ENCRYPTED:
        raise _refused(path, "is encrypted")
    if member.compress_type not in _METHODS:
        raise _refused(path, f"has members compressed by method {member.compress_type}")


def _limit():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return math.floor(memory * _MACHINE_SHARE)


def _refused(path, problem):
    return InvalidArgumentError(
        "An archive must be complete, unencrypted and small enough for memory. "
        f"Received: {path}, which {problem}"
    )
