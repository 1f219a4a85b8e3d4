"""Recognizes the kind of a file by its first bytes, for helpful error messages."""

import importlib
import io
import os

from keras_compress.support import regular_files

_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (a Keras .h5 model or weights)"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x7fELF", "a program or shared library"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the real file with `git lfs pull`"),
    (b"\x08\x01\x12", "a protocol buffer (a SavedModel's saved_model.pb, perhaps)"),
    (b"\x80\x04", "a Python pickle"),
)


def describe_bytes(content):
    """Return the kind of file that bytes look like.

    Args:
        content: The bytes of a file.

    Returns:
        A noun phrase: `"a Keras .keras model"`, `"an empty file"`, `"data of unknown kind"`.

    Example:
        >>> describe_bytes(b"")
        'an empty file'
    """
    content = bytes(content)
    if not content:
        return "an empty file"
    if content[4:8] == b"TFL3":
        return "a TFLite flatbuffer"
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return kind
    if content.startswith(b"PK\x03\x04"):
        return _describe_zip(content)
    if not any(content[:512]):
        return f"{len(content):,} bytes that begin with zeros only"
    return _describe_text(content[:512])


def describe_path(path):
    """Return the kind of file or folder at a path.

    Args:
        path: A file or folder.

    Returns:
        A noun phrase, as from `describe_bytes`; `"no file"` where nothing is there.

    Example:
        >>> describe_path("nowhere.tflite")
        'no file'
    """
    if os.path.isdir(path):
        if os.path.exists(os.path.join(path, "saved_model.pb")):
            return "a SavedModel folder"
        return "a folder"
    if not os.path.exists(path):
        return "no file"
    kind = regular_files.special_kind(path)
    if kind:
        return kind
    with open(path, "rb") as file:
        return describe_bytes(file.read())


def _describe_zip(content):
    zipfile = importlib.import_module("zipfile")  # needed for errors only; slow to start on boards
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "a truncated or damaged zip archive"
    if "model.weights.h5" in members:
        return "a Keras .keras model"
    if any(name.endswith(".npy") for name in members):
        return "a NumPy .npz archive"
    if any(name.endswith("data.pkl") for name in members):
        return "a PyTorch file"
    return "a zip archive"


def _describe_text(head):
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the end of the sample cuts in two is still text.
        if error.start < len(head) - 4:
            return "data of unknown kind"
        text = head[: error.start].decode("utf-8")
    if not all(character.isprintable() or character.isspace() for character in text):
        return "data of unknown kind"
    if text.lstrip().lower().startswith(("<!doctype", "<html")):
        return "a web page (an error page of a download, perhaps)"
    return "plain text"
