"""files.py: whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import tempfile

import pytest

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.files import temporary_folder, whole_file, write_atomically


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
    with pytest.raises(InvalidArgumentError, match="path must be that of a file"):
        write_atomically(tmp_path, b"x")


def test_written_file_has_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    written = write_atomically(tmp_path / "written", b"")
    assert plain.stat().st_mode == written.stat().st_mode


def run_killed(program, folder):
    """Run a program that kills itself; its temporary folder is the given one."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment)
    assert done.returncode == -signal.SIGKILL


KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def test_what_a_killed_process_left_aside_goes_with_the_next_write(tmp_path):
    program = f"""
from keras_compress.support.files import whole_file
with whole_file("model.tflite") as aside:
    open(aside, "wb").write(b"half")
    {KILL}
"""
    write_atomically(tmp_path / "model.tflite", b"old")
    run_killed(program, tmp_path)
    assert (tmp_path / "model.tflite").read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    write_atomically(tmp_path / "other.tflite", b"")
    assert len(os.listdir(tmp_path)) == 3
    write_atomically(tmp_path / "model.tflite", b"new")
    assert sorted(os.listdir(tmp_path)) == ["model.tflite", "other.tflite"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "model.tflite"
    with whole_file(path) as aside:
        write_atomically(path, b"faster")
        with open(aside, "wb") as file:
            file.write(b"slower")
    assert path.read_bytes() == b"slower" and os.listdir(tmp_path) == ["model.tflite"]


def test_folders_of_killed_processes_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = f"""
from keras_compress.support.files import temporary_folder
with temporary_folder() as folder:
    (folder / "half").write_bytes(b"half")
    {KILL}
"""
    run_killed(program, tmp_path)
    (dead,) = os.listdir(tmp_path)
    (tmp_path / "keras_compress_tmp_data_of_mine").mkdir()
    with temporary_folder() as living:
        assert not (tmp_path / dead).exists()
        with temporary_folder():
            assert living.is_dir()
    assert os.listdir(tmp_path) == ["keras_compress_tmp_data_of_mine"]


@pytest.mark.parametrize("length", [240, 255, 256, 300])
def test_a_name_is_written_or_refused_by_its_length_alone(tmp_path, length):
    path = tmp_path / ("n" * (length - 4) + ".txt")
    if length <= 255:
        assert write_atomically(path, "whole").read_text() == "whole"
        return
    with pytest.raises(InvalidArgumentError, match="File name too long"):
        write_atomically(path, "whole")


ERRORS = {
    "of Python": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "of a quota": OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    "of TensorFlow": RuntimeError("saved_model.pb.tmp541c; No space left on device [Op:SaveV2]"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=list(ERRORS))
def test_a_full_disk_is_named_with_the_way_out(tmp_path, error):
    with pytest.raises(InvalidArgumentError, match="set TMPDIR to another one"), temporary_folder():
        raise error
    if isinstance(error, OSError):
        refused = pytest.raises(InvalidArgumentError, match="The disk must have space.*file.txt")
        with refused, whole_file(tmp_path / "file.txt"):
            raise error
        assert not list(tmp_path.iterdir())


def test_other_errors_pass_a_temporary_folder():
    with pytest.raises(KeyError), temporary_folder():
        raise KeyError


def test_a_folder_for_temporary_files_that_is_not_utf8_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    with pytest.raises(InvalidArgumentError, match="its name is not UTF-8"), temporary_folder():
        pass
