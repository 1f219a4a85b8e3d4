"""Only what can be read to an end is opened."""

import os
import socket

import pytest

from keras_compress.errors import InvalidArgumentError, ProfileError
from keras_compress.support import regular_files


def test_pipes_sockets_and_devices_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    kinds = {"pipe": "a pipe", "link": "a pipe", "socket": "a socket", os.devnull: "a device"}
    for path, kind in kinds.items():
        assert regular_files.special_kind(path) == kind
        with pytest.raises(InvalidArgumentError, match=f"regular file.*{kind}"):
            regular_files.check(path)
    with pytest.raises(ProfileError):
        regular_files.check("pipe", ProfileError)


def test_files_folders_and_nothing_pass(tmp_path):
    (tmp_path / "file").write_text("text")
    for path in (tmp_path / "file", tmp_path, tmp_path / "nothing", "a\0b"):
        assert regular_files.special_kind(path) is None
        regular_files.check(path)
