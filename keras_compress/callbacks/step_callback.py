"""The life of a training step, which all callbacks that act at steps share."""

from typing import Any

import keras

from keras_compress.callbacks.training_step import StepWatch, TrainingStep
from keras_compress.errors import InvalidArgumentError

# Updates to wait where nothing is due.
FAR = 1_000_000


class StepCallback(keras.callbacks.Callback):
    """Counts steps, resumes, waits while the step is held, writes logs and records the step.

    A subclass fills in hooks, which `fit` reaches in this order:

    1. `begin()`: training begins; checkpoints may not have been restored yet.
    2. `resume(step)`: the first batch begins, and all callbacks have restored what they restore.
    3. `update(step)`: each time that the subclass calls `look()`, once a batch, and something is
       due by `next_change`. Not while `AccuracyGuard` holds the step.
    4. `logs()`: what goes into the logs of each batch and epoch.
    5. `end()`: training ends; `running` tells whether there was a batch.

    The step is recorded in the model before a validation, and when an epoch or training ends, so
    that whoever saves the model saves the step too.

    Attributes:
        running: Whether a batch of this training has begun.
    """

    running = False

    @property
    def step(self) -> int:
        """The step that schedules see: updates made since compression began."""
        return self._step.current

    def begin(self) -> None:
        """Find what there is to act on in `self.model`."""

    def resume(self, step: int) -> None:
        """Bring the model to where it has to be before the first batch.

        Args:
            step: Number of updates made so far, in earlier trainings too.
        """

    def update(self, step: int) -> None:
        """Do what is due at a step.

        Args:
            step: Number of updates made so far.
        """

    def next_change(self, step: int) -> int:
        """Return the next step at which something may be due.

        Args:
            step: Number of updates made so far.

        Returns:
            An integer greater than `step`.
        """
        return step + FAR

    def logs(self) -> dict[str, float]:
        """Return what goes into the logs."""
        return {}

    def end(self) -> None:
        """Leave the model as it has to be after training."""

    def look(self) -> None:
        """Update what is due; to be called once a batch, before or after it."""
        step = self._watch.read()
        if step is None:
            return
        if self._step.held:
            # A hold ends between epochs, and every epoch looks again.
            self._watch.sleep(FAR)
            return
        self.update(step)
        self._watch.sleep(self.next_change(step) - step)

    def set_model(self, model: keras.Model) -> None:
        """Find the step that all callbacks of the model share."""
        super().set_model(model)
        self._step = TrainingStep.of(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find what there is to act on."""
        self.running = False
        self.begin()
        self._step.begin()
        self._watch = StepWatch(self._step)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the step again: between epochs it may have been held or set."""
        self._watch.wake()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Resume, once all callbacks have restored what they restore."""
        if not self.running:
            self.running = True
            self._step.resolve()
            self.resume(self._step.current)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the logs of the batch."""
        self._write(logs)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model before anyone saves it at the end of the epoch."""
        if self.running:
            self._step.record()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and write the logs of the epoch."""
        self._step.record()
        self._write(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and end."""
        if self.running:
            self._step.record()
        self.end()
        self.running = False

    def _write(self, logs):
        if logs is not None:
            logs.update(self.logs())


def check_built(model: keras.Model, layers: list) -> None:
    """Check that layers have weights, which `fit` makes only after callbacks have begun.

    Args:
        model: The model that an error names.
        layers: Those of its layers whose weights are needed.

    Raises:
        InvalidArgumentError: A layer without weights.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> check_built(model, model.layers)
    """
    unbuilt = [layer.name for layer in layers if not layer.built]
    if unbuilt:
        raise InvalidArgumentError(
            "The model is not built: the shapes of its kernels are unknown. Call it once on a "
            "batch, or begin it with keras.Input(shape). "
            f"Received: model {model.name!r}, whose layer {unbuilt[0]!r} has no weights yet"
        )


def remake_functions(model: keras.Model) -> None:
    """Have a model trace its train, test and predict steps anew.

    Args:
        model: A compiled model.
    """
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)
