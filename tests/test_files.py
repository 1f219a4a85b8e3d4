"""files.py: whole or not at all."""

import os

import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.files import write_atomically


def test_file_is_written_with_its_folders(tmp_path):
    path = write_atomically(tmp_path / "a" / "b.txt", "text")
    assert path.read_text() == "text"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "model.tflite", b"old")

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_folder_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="file's path is wanted"):
        write_atomically(tmp_path, b"x")


def test_written_file_has_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    written = write_atomically(tmp_path / "written", b"")
    assert plain.stat().st_mode == written.stat().st_mode
