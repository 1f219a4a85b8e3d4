import io
import subprocess
import sys

import pytest

from keras_compress.support.progress import ProgressBar, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "terminal", "shown"),
    [
        (True, False, True),
        (None, False, False),
        (None, True, False),
        (False, True, False),
    ],
)
def test_bar_is_shown_when_asked_for_or_long_on_a_terminal(monkeypatch, progress, terminal, shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(10, progress) as advance:
        advance(10)
    assert ("10.0/10.0" in stream.getvalue()) is shown


def test_long_work_on_a_terminal_shows_it(monkeypatch):
    monkeypatch.setattr("keras_compress.support.progress._PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(3) as advance:
        advance(3)
    assert "3.00/3.00" in sys.stderr.getvalue()


def test_no_stderr_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(3) as advance:
        advance(3)


def test_a_function_is_called_in_place_of_a_bar(capsys):
    counts = []
    with progress_bar(10, counts.append) as advance:
        advance(4)
    assert counts == [4] and capsys.readouterr().err == ""


def test_a_bar_whose_length_becomes_known_on_the_way(capsys):
    with ProgressBar("Calibrating", show=True) as bar:
        bar.update(0, 0)
        assert capsys.readouterr().err == ""
        bar.update(3, 10)
        bar.update(10, 10)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "Calibrating" in last and "10/10" in last


def test_a_bar_of_known_length_is_shown_before_the_first_unit(capsys):
    with ProgressBar("Searching", show=True, total=60, unit="s") as bar:
        assert "0/60" in capsys.readouterr().err
        bar.update(5, note="best: 97 %")
        assert "5/60" in (shown := capsys.readouterr().err) and "best: 97 %" in shown


@pytest.mark.parametrize("total", [None, 10])
def test_silent_where_nobody_watches(capsys, total):
    with ProgressBar("Calibrating", total=total) as bar:
        bar.update(3, 10, note="silence")
        bar.advance(1)
    assert capsys.readouterr().err == ""


def test_a_bar_without_any_stderr(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar("Calibrating") as bar:
        bar.update(3, 10)


def test_boards_do_without_tqdm():
    code = (
        "import sys; sys.modules['tqdm'] = None\n"
        "from keras_compress.support.progress import progress_bar\n"
        "with progress_bar(3, False) as advance: advance(3)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
