"""The folder of a trial, which says whose it is and how often the trial was begun in vain."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_compress.errors import CompressionError, InvalidArgumentError
from keras_compress.searching.jobs import Job
from keras_compress.support.files import write_atomically

_OWNER = "trial.json"
_BACKUP = "backup"
_FILES = (
    "smaller.keras",
    "untrained.keras",
    "untrained.tflite",
    "untrained_dense.tflite",
    "model.keras",
    "model.tflite",
    "model_dense.tflite",
)
# Of a process that a trial ends, as by a lack of memory: each restart would end in the same way.
_MOST_CRASHES = 5


class TrialFolder:
    """What a trial keeps between its pieces: checkpoints and files.

    Args:
        job: The `Job`.
        search: Digest of the search that it belongs to.

    Attributes:
        path: The folder.
    """

    def __init__(self, job: Job, search: str):
        self.path = Path(job.folder)
        self._owner = {"search": search, "recipe": job.recipe.to_json()}
        self._until = job.until

    @property
    def backup(self) -> Path:
        """Where the training is backed up."""
        return self.path / _BACKUP

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Begin the piece of the trial, and note its end, whatever is raised."""
        self.begin()
        try:
            yield
        finally:
            self._write(self._stage(), 0)

    def begin(self) -> None:
        """Empty the folder if another trial left it, and count the runs that end the process.

        Raises:
            CompressionError: The trial has ended the process several times.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        state = _read(self.path)
        if any(state.get(name) != value for name, value in self._owner.items()):
            self._empty()
            state = {}
        stage = self._stage()
        crashes = state.get("crashes", 0) if state.get("stage") == stage else 0
        if crashes >= _MOST_CRASHES:
            self._write(stage, 0)
            raise CompressionError(
                f"The process ended in this trial {crashes} times in a row, as it does when memory "
                f"runs out. See {self.path}"
            )
        self._write(stage, crashes + 1)

    def _stage(self):
        """Return how far the trial is: with each epoch that is saved, crashes count anew."""
        return [self._until, sorted(path.name for path in self.backup.glob("saved_*"))]

    def _write(self, stage, crashes):
        content = {**self._owner, "stage": stage, "crashes": crashes}
        write_atomically(self.path / _OWNER, json.dumps(content))

    def _empty(self):
        """Remove what trials write, and nothing else: the folder may be that of the user."""
        shutil.rmtree(self.backup, ignore_errors=True)
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)


def refuse_trials_of_another(folder: Path, search: str) -> None:
    """Raise an error if trials in a folder belong to another search.

    Args:
        folder: The search's folder.
        search: Digest of the search.

    Raises:
        InvalidArgumentError: They do.
    """
    for path in sorted(folder.glob(f"*/{_OWNER}")):
        if _read(path.parent).get("search", search) != search:
            raise InvalidArgumentError(
                "The folder holds trials of another search, of another model or other limits. Pass "
                f"another folder=, or delete all of it to start over. Received: {path.parent}"
            )


def _read(folder) -> dict[str, Any]:
    """Return what a folder says of its trial, nothing where that cannot be read."""
    try:
        state = json.loads((folder / _OWNER).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) and isinstance(state.get("crashes"), int) else {}
