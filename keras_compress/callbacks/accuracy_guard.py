"""Pauses compression while accuracy is low, and restores the model if it stays low."""

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_compress.callbacks.step_callback import StepCallback
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.support.files import write_atomically

_FALLING = ("loss", "error", "mse", "mae", "mape", "divergence", "perplexity")


class AccuracyGuard(StepCallback):
    """Lets pruning and quantization proceed only as fast as a validation metric allows.

    A static schedule keeps pruning whether or not the network keeps up. The guard compares a metric
    with a reference at the end of each epoch in which `fit` validates:

    - If the metric is within `tolerance` of the reference, the state is good. The guard saves it,
      and schedules continue.
    - If the metric is worse, the guard pauses the step that schedules see. Sparsity and the width
      of weights stay the same and quantization does not begin, while the network trains on and has
      time to recover.
    - If the metric stays worse for more than `patience` epochs, or is still worse when training
      ends, the guard restores the last good state (weights, masks, ranges, step) and stops
      training. Before the first good state there is nothing to restore, so compression only waits.

    Args:
        monitor: Name of the metric in `fit`'s logs.
        reference: Value to compare the metric with, such as the float model's. `None` uses the best
            value so far in this training.
        tolerance: Largest acceptable distance from the reference, in units of the metric, >= 0.
        patience: Number of consecutive epochs that may be worse before the state is restored.
        mode: `"max"` if higher is better, `"min"` if lower is better; `"auto"` decides by the name
            of the metric (lower is better for a loss or an error).
        backup_dir: Folder for the last good state and the guard's counters, so that they survive a
            restart like the model's state with `BackupAndRestore`. The guard deletes them when
            training ends. `None` keeps them in memory.

    Raises:
        InvalidArgumentError: An argument outside its range; in `fit`, a metric that is not in the
            logs.

    Example:
        >>> guard = AccuracyGuard(reference=0.97, tolerance=0.01, patience=3)
        >>> guard.is_good(0.965), guard.is_good(0.95)
        (True, False)
    """

    def __init__(
        self,
        monitor: str = "val_accuracy",
        reference: float | None = None,
        tolerance: float = 0.01,
        patience: int = 3,
        mode: str = "auto",
        backup_dir: str | os.PathLike | None = None,
    ):
        super().__init__()
        _check_arguments(reference, tolerance, patience, mode)
        self.monitor = monitor
        self.reference = reference
        self.tolerance = tolerance
        self.patience = patience
        self.mode = _direction(monitor) if mode == "auto" else mode
        self._given_reference = reference
        self._backup = None if backup_dir is None else Path(backup_dir) / "accuracy_guard.npz"

    def begin(self) -> None:
        """Reset the state, or load that of a training that was killed."""
        self.reference = self._given_reference
        self.epochs_below = 0
        self._last_good = None
        self._validated = self._measured = False
        if self._backup is not None and self._backup.exists():
            self._load(self._backup)

    def resume(self, step: int) -> None:
        """Pause the step if the training that was killed had paused it."""
        if self._last_good is not None:
            self._check_state(self._last_good)
        if self.epochs_below:
            self._step.hold()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Record that this epoch was validated."""
        self._validated = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decide whether compression continues."""
        super().on_epoch_end(epoch, logs)
        value = self._value(logs or {})
        if value is None:
            return
        self._measured = True
        if self.is_good(value):
            self._accept(value)
        else:
            self._hold(value)
        if self._backup is not None:
            self._save()

    def end(self) -> None:
        """Restore the last good state if the metric is still worse; continue the step."""
        if not self.running:
            return
        if self.epochs_below:
            self._restore_last_good()
        self._step.release()
        if not self._measured:
            logging.warning(
                "AccuracyGuard never saw %s: pass validation_data to fit.", self.monitor
            )
        if self._backup is not None:
            self._backup.unlink(missing_ok=True)

    def is_good(self, value: float) -> bool:
        """Tell whether a value of the metric is within the tolerance of the reference."""
        if self.reference is None:
            return True
        shortfall = self.reference - value if self.mode == "max" else value - self.reference
        return shortfall <= self.tolerance

    def _value(self, logs):
        validated, self._validated = self._validated, False
        if self.monitor in logs:
            return logs[self.monitor]
        if self.monitor.startswith("val_") and not validated:
            return None
        raise UnknownNameError("metric in fit's logs", self.monitor, logs)

    def _accept(self, value):
        if self._given_reference is None:
            better = max if self.mode == "max" else min
            self.reference = value if self.reference is None else better(self.reference, value)
        self.epochs_below = 0
        self._step.release()
        self._last_good = _State.of(self.model, self._step)

    def _hold(self, value):
        self.epochs_below += 1
        self._step.hold()
        logging.info(
            "%s=%.4f is too far from %.4f: compression is paused at step %d.",
            self.monitor,
            value,
            self.reference,
            self._step.current,
        )
        # Before the first good state the network is still learning, so compression only waits.
        if self._last_good is not None and self.epochs_below > self.patience:
            self._restore_last_good()
            self.model.stop_training = True

    def _restore_last_good(self):
        self.epochs_below = 0
        if self._last_good is None:
            logging.warning(
                "%s never came within %g of %g: there is no good state to restore.",
                self.monitor,
                self.tolerance,
                self.reference,
            )
            return
        self._last_good.restore(self.model, self._step)
        logging.warning(
            "%s stayed further than %g from %.4f: restored the last good state, of step %d.",
            self.monitor,
            self.tolerance,
            self.reference,
            self._last_good.step,
        )

    def _save(self):
        counters = {"reference": self.reference, "epochs_below": self.epochs_below}
        arrays: dict[str, Any] = {} if self._last_good is None else self._last_good.to_arrays()
        content = io.BytesIO()
        np.savez(content, note=json.dumps(counters), **arrays)
        write_atomically(self._backup, content.getvalue())

    def _load(self, backup: Path):
        try:
            with np.load(backup) as arrays:
                counters = json.loads(str(arrays["note"]))
                if "step" in arrays:
                    self._last_good = _State.from_arrays(arrays)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InvalidArgumentError(
                "backup_dir contains a file that AccuracyGuard cannot read. Delete it to start "
                f"over. Received: {self._backup} ({error})"
            ) from error
        self.epochs_below = counters["epochs_below"]
        if self._given_reference is None:
            self.reference = counters["reference"]

    def _check_state(self, state):
        saved_shapes = [value.shape for value in state.weights]
        shapes = [tuple(variable.shape) for variable in _variables(self.model, self._step)]
        if saved_shapes != shapes:
            raise InvalidArgumentError(
                "backup_dir contains the state of another model. Delete it to start over. "
                f"Received: {self._backup}"
            )


@dataclasses.dataclass(frozen=True)
class _State:
    """A state of the model that can be restored.

    Args:
        step: The step that schedules saw.
        weights: Values of the model's weights, then of the variables outside it.
    """

    step: int
    weights: list

    @classmethod
    def of(cls, model, step):
        return cls(
            step.current,
            [keras.ops.convert_to_numpy(variable).copy() for variable in _variables(model, step)],
        )

    def restore(self, model, step):
        for variable, value in zip(_variables(model, step), self.weights, strict=True):
            variable.assign(value)
        # The restored weights include the step's origin, but the optimizer's count went on.
        step.rewind(self.step)

    def to_arrays(self):
        weights = {f"weight_{index}": value for index, value in enumerate(self.weights)}
        return {"step": self.step, **weights}

    @classmethod
    def from_arrays(cls, arrays):
        count = sum(name.startswith("weight_") for name in arrays)
        weights = [arrays[f"weight_{index}"] for index in range(count)]
        return cls(int(arrays["step"]), weights)


def _variables(model, step):
    return [*model.weights, *step.outside]


def _direction(monitor):
    return "min" if any(word in monitor.lower() for word in _FALLING) else "max"


def _check_arguments(reference, tolerance, patience, mode):
    if reference is not None and not np.isfinite(reference):
        raise InvalidArgumentError(
            f"reference must be a finite number or None. Received: reference={reference!r}"
        )
    if not np.isfinite(tolerance) or tolerance < 0:
        raise InvalidArgumentError(
            "tolerance must be a number >= 0, in units of the metric: 0.01 is one point of "
            f"accuracy. Received: tolerance={tolerance!r}"
        )
    if not isinstance(patience, int) or patience < 0:
        raise InvalidArgumentError(
            f"patience must be an integer >= 0, in epochs. Received: patience={patience!r}"
        )
    if mode not in ("auto", "max", "min"):
        raise InvalidArgumentError(f"mode must be 'auto', 'max' or 'min'. Received: mode={mode!r}")
