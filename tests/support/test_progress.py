import io
import sys

import pytest

from keras_compress.support.progress import progress_bar


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
