"""What a long script has done so far, one JSON object a line, so that it goes on after a kill."""

import json
import os
from pathlib import Path

FOLDER = Path(__file__).with_name("unfinished")


class Record:
    """Rows of a script, appended as they come in, by any of its processes.

    A record that was begun with other settings, versions among them, is begun anew. A last line
    that a kill cut short does not count.

    Args:
        name: Name of the script.
        settings: Dict of whatever the rows depend on.
        folder: Where records lie.
    """

    def __init__(self, name, settings, folder=FOLDER):
        self.path = Path(folder) / f"{name}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head, *rows = self._lines() or [None]
        if head != settings:
            rows = []
            self.path.write_text(json.dumps(settings) + "\n")
        self.found = len(rows)

    @property
    def rows(self):
        """The rows so far."""
        return self._lines()[1:]

    def add(self, row):
        """Append a row, a dict of plain values."""
        with open(self.path, "r+b") as file:
            file.seek(0, os.SEEK_END)
            # What was cut short stays alone on its line.
            file.seek(file.tell() - 1)
            cut = file.read(1) != b"\n"
        text = ("\n" if cut else "") + json.dumps(row) + "\n"
        target = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(target, text.encode())
        finally:
            os.close(target)

    def end(self):
        """Remove the record; to be called when its result is written."""
        self.path.unlink()

    def _lines(self):
        found = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found
