"""The base class of callbacks that act at training steps."""

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from keras_compress.callbacks.other_callbacks import hold_back
from keras_compress.callbacks.training_step import StepWatch, TrainingStep, build_optimizer
from keras_compress.errors import InvalidArgumentError
from keras_compress.support.steps import TrainingLength

# Number of updates to wait if nothing is due.
FAR = 1_000_000


class StepCallback(keras.callbacks.Callback):
    """Counts steps, resumes, waits while the step is paused, writes logs and records the step.

    A subclass overrides hooks, which `fit` calls in this order:

    1. `begin()`: training begins; checkpoints may not be restored yet.
    2. `check_length()`: refuse steps that will not be known in time.
    3. `fix_steps()`: the first batch begins, and steps that depend on `length` become numbers; once
       more at the end of the first epoch if only that tells how long an epoch is.
    4. `resume(step)`: the first batch begins; all callbacks have restored their checkpoints.
    5. `update(step)`: something is due by `next_change`, when the subclass calls `look()` once per
       batch. Not called while `AccuracyGuard` pauses the step.
    6. `logs()`: the entries for the logs of each batch and epoch.
    7. `end()`: training ends; `running` tells whether there was a batch.

    The step is recorded in the model before validation and at the end of each epoch and of the
    training, so a saved model contains the step.

    While a callback has not reached its target, Keras' callbacks that choose the best epoch are
    held back (`other_callbacks`). After the training, the model is compared with the logs.

    Attributes:
        running: Whether a batch of this training has begun.
        length: How long `fit` trains, a `TrainingLength`.
        last_logs: What `logs` returned at the end of the last epoch.
        updated_at: The step of the last `update` of this training, -1 before it.
    """

    running = False
    length = TrainingLength()
    updated_at = -1

    @property
    def step(self) -> int:
        """The step that schedules see: the number of updates since compression began."""
        return self._step.current - self._step.start_of(self)

    @property
    def target_reached(self) -> bool:
        """Whether nothing more is due: the model is compressed as far as this callback takes it."""
        return True

    def begin(self) -> None:
        """Find the layers or kernels to act on in `self.model`."""

    def check_length(self) -> None:
        """Check that every step will be known in time.

        Raises:
            InvalidArgumentError: One will not.
        """

    def fix_steps(self) -> None:
        """Turn steps given as fractions or epochs into numbers, by `self.length`."""

    def too_late(self, end: int) -> Iterable[str]:
        """Yield what comes too late in a training, such as "quantization begins at step 2000".

        Args:
            end: The step at which the training ends.
        """
        return ()

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

    def check_result(self) -> None:
        """Check after `fit` that the model is what the logs of the last epoch say.

        Raises:
            CompressionError: Something replaced the weights.
        """

    def enforce(self) -> None:
        """Set masked weights to zero, if the model does not do that."""

    def look(self) -> None:
        """Update what is due; call it once per batch, before or after it."""
        count = self._watch.read()
        if count is None:
            return
        if self._step.held:
            # A pause ends between epochs, and every epoch reads the step again.
            self._watch.sleep(FAR)
            return
        step = count - self._step.start_of(self)
        self.update(step)
        self.updated_at = step
        self._watch.sleep(self.next_change(step) - step)

    def set_model(self, model: keras.Model) -> None:
        """Get the `TrainingStep` that all callbacks of the model share."""
        super().set_model(model)
        self._step = TrainingStep.of(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Call `begin`, start watching the step and hold back callbacks that choose an epoch."""
        self.running = False
        self._first_epoch = 0
        self.length = TrainingLength.of(self.params, _accumulation(self.model))
        self.updated_at = -1
        self._logged_at = None
        self.begin()
        self.check_length()
        self._step.begin()
        self._watch = StepWatch(self._step)
        hold_back(StepCallback)
        build_optimizer(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the step again, because it may have been paused or set between epochs."""
        if not self.running:
            self._first_epoch = epoch
        self._watch.wake()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Resume at the first batch, once all callbacks have restored their checkpoints."""
        if not self.running:
            self.running = True
            self._step.resolve()
            self._first_step = self.step
            self.length = dataclasses.replace(
                self.length, first_epoch=self._first_epoch, first_step=self._first_step
            )
            self._fix_steps()
            self.resume(self.step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the logs of the batch."""
        self._last_batch = batch
        self._write(logs)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model before any callback saves it at the end of the epoch."""
        if self.running:
            self._step.record()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and write the logs of the epoch."""
        if self.running and self.length.epochs is not None and not self.length.is_known:
            self._measure_length()
            self._fix_steps()
        self._step.record()
        self._write(logs)
        self.last_logs, self._logged_at = self.logs(), self._step.current

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step in the model and call `end`."""
        if self.running:
            self._step.record()
        self.end()
        self.running = False

    @property
    def describes_model(self) -> bool:
        """Whether `last_logs` are of the model at hand, not of one that `AccuracyGuard` undid."""
        return self._logged_at is not None and self._step.current >= self._logged_at

    def _measure_length(self):
        """Learn the length of an epoch from its batches, when an epoch has ended.

        The optimizer's count is no measure: TensorFlow also counts the update that finds no data.
        """
        batches = self._last_batch + 1
        self.length = dataclasses.replace(
            self.length,
            updates_per_epoch=batches / _accumulation(self.model),
            first_epoch=self._first_epoch + 1,
            first_step=self.step,
        )

    def _fix_steps(self):
        """Fix the steps for the training that has begun, and say what comes too late in it."""
        self.check_length()
        self.fix_steps()
        late = list(self.too_late(self.length.end)) if self.length.is_known else ()
        if late:
            warnings.warn(self._late_message(late), stacklevel=2)

    def _late_message(self, late):
        end = self.length.end
        steps = self.length.updates_since(self._first_epoch)
        span = f", {self._first_step} to {end}" if self._first_step else ""
        return (
            f"{type(self).__name__}: fit will run {steps} steps{span}; "
            f"{', '.join(late)}. Train longer, or give steps as fractions of the training (0.5) or "
            "as kc.Epochs(3)."
        )

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


def _accumulation(model):
    """Return the number of batches whose gradients one update of a model takes."""
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return getattr(optimizer, "gradient_accumulation_steps", None) or 1


def remake_functions(model: keras.Model) -> None:
    """Make a model trace its train, test and predict steps again.

    Args:
        model: A compiled model.
    """
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)
