"""What is written never destroys what is not a regular file, and never waits without end."""

import json
import os
import stat
import tempfile
import threading
import tty

import pytest

from keras_compress.cli import main as cli
from keras_compress.errors import InvalidArgumentError
from keras_compress.support import files
from keras_compress.support.files import temporary_folder, whole_file, write_atomically


@pytest.fixture
def model(classifier, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(classifier())
    return path


VERBS = {
    "check": lambda model: ["check", f"--model={model}", "--profile=cortex_m4"],
    "inspect": lambda model: ["inspect", f"--model={model}"],
    "profiles": lambda model: ["profiles"],
}


@pytest.fixture(params=VERBS)
def command(request, model):
    """The words of a command that writes JSON."""
    return VERBS[request.param](model)


def test_a_link_stays_and_its_target_is_written(command, tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target.name)
    assert cli.main([*command, f"--json={link}"]) == cli.DONE
    assert link.is_symlink()
    assert json.loads(target.read_text())


def test_a_link_to_nothing_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_to(command, tmp_path):
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    assert cli.main([*command, f"--json={pipe}"]) == cli.DONE
    reader.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert json.loads(received[0])


def test_the_end_of_a_pipe_under_dev_fd_is_written_to(command):
    reader, writer = os.pipe()
    received = []

    def read():
        with os.fdopen(reader, "rb") as stream:
            received.append(stream.read())

    thread = threading.Thread(target=read)
    thread.start()
    assert cli.main([*command, f"--json=/dev/fd/{writer}"]) == cli.DONE
    os.close(writer)
    thread.join()
    assert json.loads(received[0])


def test_a_device_is_written_to():
    master, terminal = os.openpty()
    tty.setraw(terminal)
    name = os.ttyname(terminal)
    write_atomically(name, b"content")
    assert os.read(master, 100) == b"content"
    assert stat.S_ISCHR(os.stat(name).st_mode)
    os.close(master)
    os.close(terminal)


def test_a_minus_is_stdout(command, capsysbinary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*command, "--json=-"]) == cli.DONE
    assert json.loads(capsysbinary.readouterr().out)
    assert "-" not in os.listdir()


@pytest.mark.parametrize("length", [200, 250, 255])
def test_a_long_name(command, tmp_path, length):
    path = tmp_path / ("n" * (length - 5) + ".json")
    assert cli.main([*command, f"--json={path}"]) == cli.DONE
    assert json.loads(path.read_text())
    assert sorted(os.listdir(tmp_path)) == ["model.tflite", path.name]


def test_a_name_that_no_file_can_have(command, tmp_path, capsys):
    assert cli.main([*command, f"--json={tmp_path / ('n' * 256)}"]) == cli.BAD_INPUT
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_writing_changes_no_umask(tmp_path, monkeypatch):
    """The mask belongs to the process: another thread's files would have got any permission."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the mask was changed"))
    write_atomically(tmp_path / "file", b"")


def test_a_pipe_that_nobody_reads_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_READER_S", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidArgumentError, match="nobody reads the pipe"):
        write_atomically(tmp_path / "pipe", b"content")


def test_a_pipe_under_the_name_of_a_leftover_does_not_block(tmp_path):
    os.mkfifo(tmp_path / ".report.json.unfinished.00000000.json")
    write_atomically(tmp_path / "report.json", b"{}")
    assert (tmp_path / "report.json").read_bytes() == b"{}"


def test_a_folder_that_vanishes_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_remove_left_over", lambda path: path.parent.rmdir())
    with pytest.raises(InvalidArgumentError, match="No such file or directory"):
        write_atomically(tmp_path / "gone" / "report.json", b"{}")


def test_a_missing_folder_for_temporary_files_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InvalidArgumentError, match="set TMPDIR"), temporary_folder():
        pass


def test_a_failed_write_to_a_pipe_writes_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "pipe"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["pipe"]
