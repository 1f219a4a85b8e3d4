"""The step count of schedules, which survives fits, checkpoints, restarts and new optimizers."""

import weakref
from typing import Any

import keras

from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.compressed_layer import UNSET_ORIGIN, CompressedLayer

_STEPS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def compressed_layers(model):
    """Return the compressed layers of a model, including nested models."""
    return [layer for layer in all_layers(model) if isinstance(layer, CompressedLayer)]


def build_optimizer(model):
    """Create the slots of an optimizer before the first step is traced.

    Keras creates them in the trace, which TensorFlow then makes twice. A `train_step` of a user's
    own may give its optimizer other variables than the model's, and is left alone.

    Args:
        model: A model in `fit`.
    """
    keras_trains = type(model).train_step is keras.Model.train_step
    if keras_trains and model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


class TrainingStep:
    """Counts the optimizer's updates since compression began.

    The count is `optimizer.iterations - origin`. The optimizer counts in the traced step, so the
    count is correct whenever a checkpoint is saved, in whatever order callbacks are listed.
    `origin` is a weight of the compressed layers, set at the first batch. A new optimizer starts
    at zero, so the origin is adjusted to continue from the last recorded count.

    A plain model cannot hold such weights. Its count starts from the optimizer's count at the call
    of `fit`, before a checkpoint is restored. So a script that is killed and started again uses the
    same origin, and the updates that `BackupAndRestore` restores are counted. Each schedule
    callback of a plain model counts from its own first `fit` (`start_of`).

    All callbacks of a model share one object (`TrainingStep.of`), so that one of them can pause
    the count for all.

    Args:
        model: A compiled model.

    Attributes:
        recorded: The last count written to the model, -1 before the first.
        outside: Variables of the state outside the model: masks of a plain model.
        waiting_since: The count before a due update that waits, or `None`. No later count is
            recorded, so after a restart the update is still due.
    """

    def __init__(self, model):
        self._model = weakref.ref(model)
        self._layers = compressed_layers(model)
        self._origin = None
        self._held_at = None
        self._starts: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        self._optimizer: weakref.ref | None = None
        self.recorded = -1
        self.outside = []
        self.waiting_since = None

    @classmethod
    def of(cls, model):
        """Return the `TrainingStep` of a model, creating it on the first call."""
        if model not in _STEPS:
            _STEPS[model] = cls(model)
        return _STEPS[model]

    @property
    def iterations(self):
        """The number of updates that the optimizer has made."""
        model: Any = self._model()
        return int(keras.ops.convert_to_numpy(model.optimizer.iterations))

    def attach(self, owner, initial_step=0):
        """Let a callback count on a plain model; call it before checkpoints are loaded.

        A callback that counted before continues its count, even with a new optimizer.

        Args:
            owner: The callback that counts.
            initial_step: Its count at its first call.
        """
        optimizer = getattr(self._model(), "optimizer", None)
        if self._layers or optimizer is None:
            return
        self._held_at = None
        if self._optimizer is None:
            self._origin = self.iterations
        elif self._optimizer() is not optimizer:
            self._origin = self.iterations - max(self.recorded, 0)
        self._optimizer = weakref.ref(optimizer)
        if owner not in self._starts:
            self._starts[owner] = self.current - initial_step

    def start_of(self, owner):
        """Return the count at which a callback's own count is zero; 0 on a compressed model."""
        return self._starts.get(owner, 0)

    def recorded_of(self, owner):
        """Return the last count written, as a callback counts; -1 before its first."""
        if owner not in self._starts:
            return self.recorded
        start = self._starts[owner]
        return self.recorded - start if self.recorded > start else -1

    def begin(self) -> None:
        """Reset what an interrupted training may have left: a paused count or a waiting update."""
        self._held_at = None
        self.waiting_since = None

    def resolve(self):
        """Set the origin; call it at a train batch, after checkpoints are restored."""
        if not self._layers:
            self._origin = self.iterations if self._origin is None else self._origin
            return
        iterations, layer = self.iterations, self._layers[0]
        self._origin, recorded = (
            int(keras.ops.convert_to_numpy(layer.origin)),
            int(keras.ops.convert_to_numpy(layer.step)),
        )
        if self._origin == UNSET_ORIGIN:
            self._origin, recorded = iterations, -1
        elif iterations - self._origin < recorded:
            self._origin = iterations - recorded
        self.recorded = recorded
        self._write_origin()

    @property
    def current(self):
        """The number of updates since compression began, without those made while paused."""
        if self._held_at is not None:
            return self._held_at
        if self._origin is None:
            self.resolve()
        return self.iterations - self._origin

    def record(self):
        """Write the count to the model, so that a new optimizer can continue from it."""
        self.recorded = self.current
        if self.waiting_since is not None:
            self.recorded = min(self.recorded, self.waiting_since)
        if self._held_at is not None:
            self._origin = self.iterations - self._held_at
            self._write_origin()
        for layer in self._layers:
            layer.step.assign(self.recorded)

    @property
    def held(self):
        """Whether the count is paused."""
        return self._held_at is not None

    def hold(self):
        """Pause the count while training continues."""
        self._held_at = self.current

    def release(self):
        """Continue the count from where it was paused."""
        if self.held:
            self.rewind(self._held_at)

    def rewind(self, step):
        """Set the count.

        Args:
            step: The number of updates from which the count continues.
        """
        self._held_at = None
        self._origin = self.iterations - step
        self._write_origin()
        self.record()

    def _write_origin(self):
        for layer in self._layers:
            layer.origin.assign(self._origin)


class StepWatch:
    """Reads the step only when something may be due, because reading waits for the device.

    Args:
        step: A `TrainingStep`.
    """

    def __init__(self, step):
        self._step = step
        self._updates_per_batch = None
        self.wake()

    def wake(self):
        """Read the step at the next batch."""
        self._last_step = None
        self._batches, self._wait = 0, 1

    def read(self):
        """Return the step, or `None` while nothing can be due; call it once per batch.

        A batch here is one execution of the train function, which may make many updates
        (`steps_per_execution`) or none (gradient accumulation).
        """
        self._batches += 1
        if self._batches < self._wait:
            return None
        step = self._step.current
        if self._last_step is not None:
            rate = -(-(step - self._last_step) // self._batches)
            self._updates_per_batch = max(self._updates_per_batch or 1, rate)
        self._last_step = step
        self._batches, self._wait = 0, 1
        return step

    def sleep(self, updates):
        """Skip reading until some more updates have been made.

        Args:
            updates: Number of updates before which nothing is due, a positive integer.
        """
        if self._updates_per_batch is not None:
            self._wait = max(1, updates // self._updates_per_batch)
