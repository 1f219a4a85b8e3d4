"""Backups of a training that stay valid if the process is killed: `kc.BackupAndRestore`."""

import os
import pathlib
import re
import shutil
import tempfile
import warnings
import zipfile
from typing import Any

import keras
import numpy as np
from keras import ops

_SAVED = re.compile(r"saved_(\d+)")
_GENERATORS = "generators.npz"
_UNFINISHED = "unfinished_"
_KEPT = 2
# What damaged HDF5, JSON and zip files raise.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
)


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Keras' callback of the same name, made safe against a kill during saving.

    Keras overwrites the weights of the last backup and then the epoch number. A process that is
    killed in between leaves a broken file, or weights that are one epoch ahead of the number, and
    with them the schedules of pruning and quantization. Here each backup is a separate folder that
    gets its final name once it is complete. It also contains the random states of Dropout.

    The last two backups are kept. One that cannot be read is skipped with a warning: training goes
    on from the one before it, or from the start. One that cannot be written, as on a full disk, is
    a warning too, and training goes on.

    Args:
        backup_dir: Folder for the backups. A backup that Keras' own callback wrote is restored too.
        save_freq: `"epoch"` or a number of batches; training resumes at the start of an epoch.
        delete_checkpoint: Whether to delete the folder when training ends.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> backup = kc.BackupAndRestore("backup", delete_checkpoint=False)
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[backup])
        >>> sorted(path.name for path in pathlib.Path("backup").iterdir())
        ['saved_1', 'saved_2']
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
        """Restore the last backup that can be read, if there is one."""
        self._remove_unfinished()
        saved = self._saved()
        if not saved:
            super().on_train_begin(logs)
            return
        before = [ops.convert_to_numpy(variable) for variable in self._restored_variables()]
        for number in reversed(saved):
            try:
                self._restore(f"saved_{number}", logs)
                return
            except _UNREADABLE as error:
                self._warn_of_damage(number, error)
        # A damaged file may have been read in part.
        for variable, value in zip(self._restored_variables(), before, strict=True):
            variable.assign(value)

    def _restore(self, name, logs):
        self._set_folder(name)
        for path in (self._weights_path, self._training_metadata_path):
            if not os.path.isfile(path):
                raise FileNotFoundError(f"{path} is missing")
        generators = self._generators()
        states = self._read_generators(name, len(generators))
        # Keras sets the epoch last, so whatever raises leaves it as it was.
        super().on_train_begin(logs)
        for generator, state in zip(generators, states, strict=True):
            generator.assign(state)

    def _restored_variables(self):
        optimizer = self.model.optimizer
        if optimizer is None:
            return self.model.variables
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *optimizer.variables]

    def _warn_of_damage(self, number, error):
        warnings.warn(
            f"The backup saved_{number} in {self.backup_dir} is damaged "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}), and "
            "training goes on from the backup before it, or from the start.",
            stacklevel=2,
        )

    def _save_model(self):
        try:
            os.makedirs(self.backup_dir, exist_ok=True)
            unfinished = tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.backup_dir)
            try:
                self._save_into(unfinished)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        except OSError as error:
            warnings.warn(
                f"Training goes on without a new backup: {self.backup_dir} cannot be written to. "
                f"Free some space or give another backup_dir. Received: {error}",
                stacklevel=2,
            )

    def _save_into(self, unfinished):
        self._set_folder(os.path.basename(unfinished))
        super()._save_model()
        states: dict[str, Any] = {
            str(n): np.asarray(state) for n, state in enumerate(self._generators())
        }
        np.savez(os.path.join(unfinished, _GENERATORS), **states)
        previous = self._saved()
        name = f"saved_{previous[-1] + 1 if previous else 1}"
        os.rename(unfinished, os.path.join(self.backup_dir, name))
        self._set_folder(name)
        for number in previous[: 1 - _KEPT]:
            shutil.rmtree(os.path.join(self.backup_dir, f"saved_{number}"), ignore_errors=True)

    def _generators(self):
        """Return the states of random generators, which Keras does not include in the weights."""
        return [v for v in self.model.variables if v.path.endswith("seed_generator_state")]

    def _read_generators(self, name, count):
        path = os.path.join(self.backup_dir, name, _GENERATORS)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as states:
            return [states[str(number)] for number in range(count)]

    def _set_folder(self, name):
        # Keras' callback reads and writes at these two paths.
        folder = os.path.join(self.backup_dir, name)
        self._weights_path = os.path.join(folder, "latest.weights.h5")
        self._training_metadata_path = os.path.join(folder, "training_metadata.json")

    def _saved(self):
        """Return the numbers of the complete backups in ascending order."""
        return sorted(int(match[1]) for match in map(_SAVED.fullmatch, self._names()) if match)

    def _names(self):
        return os.listdir(self.backup_dir) if os.path.isdir(self.backup_dir) else ()

    def _remove_unfinished(self):
        for name in self._names():
            if name.startswith(_UNFINISHED):
                shutil.rmtree(os.path.join(self.backup_dir, name), ignore_errors=True)
