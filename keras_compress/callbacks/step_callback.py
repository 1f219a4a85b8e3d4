"""The base class of callbacks that act at training steps."""

from typing import Any

import keras

from keras_compress.callbacks.training_step import StepWatch, TrainingStep
from keras_compress.errors import InvalidArgumentError

# Number of updates to wait if nothing is due.
FAR = 1_000_000


class StepCallback(keras.callbacks.Callback):
    """Counts steps, resumes, waits while the step is paused, writes logs and records the step.

    A subclass overrides hooks, which `fit` calls in this order:

    1. `begin()`: training begins; checkpoints may not be restored yet.
    2. `resume(step)`: the first batch begins; all callbacks have restored their checkpoints.
    3. `update(step)`: something is due by `next_change`, when the subclass calls `look()` once per
       batch. Not called while `AccuracyGuard` pauses the step.
    4. `logs()`: the entries for the logs of each batch and epoch.
    5. `end()`: training ends; `running` tells whether there was a batch.

    The step is recorded in the model before validation and at the end of each epoch and of the
    training, so a saved model contains the step.

    Attributes:
        running: Whether a batch of this training has begun.
    """

    running = False

    @property
    def step(self) -> int:
        """The step that schedules see: the number of updates since compression began."""
        return self._step.current

    def begin(self) -> None:
        """Find the layers or kernels to act on in `self.model`."""

    def resume(self, step: int) -> None:
        """Bring the model to the state of a step before the first batch.

        Args:
            step: Number of weight updates so far, including earlier trainings.
        """

    def update(self, step: int) -> None:
        """Do what is due at a step.

        Args:
            step: Number of weight updates so far.
        """

    def next_change(self, step: int) -> int:
        """Return the next step at which something may be due.

        Args:
            step: Number of weight updates so far.

        Returns:
            An integer greater than `step`.
        """
        return step + FAR

    def logs(self) -> dict[str, float]:
        """Return the entries for the logs."""
        return {}

    def end(self) -> None:
        """Bring the model to its final state after training."""

    def look(self) -> None:
        """Update what is due; call it once per batch, before or after it."""
        step = self._watch.read()
        if step is None:
            return
        if self._step.held:
            # A pause ends between epochs, and every epoch reads the step again.
            self._watch.sleep(FAR)
            return
        self.update(step)
        self._watch.sleep(self.next_change(step) - step)

    def set_model(self, model: keras.Model) -> None:
        """Get the `TrainingStep` that all callbacks of the model share."""
        super().set_model(model)
        self._step = TrainingStep.of(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Call `begin` and start watching the step."""
        self.running = False
        self.begin()
        self._step.begin()
        self._watch = StepWatch(self._step)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the step again, because it may have been paused or set between epochs."""
        self._watch.wake()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Resume at the first batch, once all callbacks have restored their checkpoints."""
        if not self.running:
            self.running = True
            self._step.resolve()
            self.resume(self._step.current)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the logs of the batch."""
        self._write(logs)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model before any callback saves it at the end of the epoch."""
        if self.running:
            self._step.record()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and write the logs of the epoch."""
        self._step.record()
        self._write(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and call `end`."""
        if self.running:
            self._step.record()
        self.end()
        self.running = False

    def _write(self, logs):
        if logs is not None:
            logs.update(self.logs())


def check_built(model: keras.Model, layers: list) -> None:
    """Check that layers have weights, which `fit` creates only after callbacks have begun.

    Args:
        model: The model, for the error message.
        layers: The layers of the model whose weights are needed.

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
            "batch, or add a keras.Input(shape) at its start. "
            f"Received: model {model.name!r}, whose layer {unbuilt[0]!r} has no weights yet"
        )


def remake_functions(model: keras.Model) -> None:
    """Make a model trace its train, test and predict steps again.

    Args:
        model: A compiled model.
    """
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)
