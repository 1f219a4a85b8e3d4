"""Backups of a training that a kill at any moment leaves whole: `kc.BackupAndRestore`."""

import os
import pathlib
import re
import shutil
import tempfile
from typing import Any

import keras
import numpy as np

_SAVED = re.compile(r"saved_(\d+)")
_GENERATORS = "generators.npz"
_UNFINISHED = "unfinished_"


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Keras' callback of this name, safe against a kill while it saves.

    Keras overwrites the weights of the last backup, then the number of the epoch: a process that
    is killed in between leaves a broken file, or weights that are an epoch ahead of their number,
    and the schedules of pruning and quantization with them. Here each backup is a folder of its
    own that gets its name when it is whole, and Dropout's random states are in it.

    Args:
        backup_dir: Folder for the backups. What Keras' own callback left there is restored, too.
        save_freq: `"epoch"`, or a number of batches; a training goes on with a whole epoch.
        delete_checkpoint: Whether the folder is removed when training ends.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> backup = kc.BackupAndRestore("backup", delete_checkpoint=False)
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[backup])
        >>> sorted(path.name for path in pathlib.Path("backup").iterdir())
        ['saved_2']
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int = "epoch",
        delete_checkpoint: bool = True,
    ):
        super().__init__(
            str(pathlib.Path(backup_dir)), save_freq, delete_checkpoint=delete_checkpoint
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the last whole backup, if there is one."""
        self._remove_unfinished()
        saved = self._saved()
        if saved:
            self._use(f"saved_{saved[-1]}")
        super().on_train_begin(logs)
        if saved:
            self._restore_generators(f"saved_{saved[-1]}")

    def _save_model(self):
        os.makedirs(self.backup_dir, exist_ok=True)
        aside = tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.backup_dir)
        self._use(os.path.basename(aside))
        super()._save_model()
        states: dict[str, Any] = {
            str(n): np.asarray(state) for n, state in enumerate(self._generators())
        }
        np.savez(os.path.join(aside, _GENERATORS), **states)
        older = self._saved()
        name = f"saved_{older[-1] + 1 if older else 1}"
        os.rename(aside, os.path.join(self.backup_dir, name))
        self._use(name)
        for number in older:
            shutil.rmtree(os.path.join(self.backup_dir, f"saved_{number}"), ignore_errors=True)

    def _generators(self):
        """Return the states of random generators, which Keras does not count among the weights."""
        return [v for v in self.model.variables if v.path.endswith("seed_generator_state")]

    def _restore_generators(self, name):
        path = os.path.join(self.backup_dir, name, _GENERATORS)
        with np.load(path, allow_pickle=False) as states:
            for number, state in enumerate(self._generators()):
                state.assign(states[str(number)])

    def _use(self, name):
        # These two hold where Keras' callback reads and writes.
        folder = os.path.join(self.backup_dir, name)
        self._weights_path = os.path.join(folder, "latest.weights.h5")
        self._training_metadata_path = os.path.join(folder, "training_metadata.json")

    def _saved(self):
        """Return the numbers of the whole backups, the last one last."""
        return sorted(int(found[1]) for found in map(_SAVED.fullmatch, self._names()) if found)

    def _names(self):
        return os.listdir(self.backup_dir) if os.path.isdir(self.backup_dir) else ()

    def _remove_unfinished(self):
        for name in self._names():
            if name.startswith(_UNFINISHED):
                shutil.rmtree(os.path.join(self.backup_dir, name), ignore_errors=True)
