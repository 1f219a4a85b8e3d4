"""The step that schedules count: kept over several fits, checkpoints, restarts and optimizers."""

import weakref
from typing import Any

import numpy as np

from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.compressed_layer import UNSET_ORIGIN, CompressedLayer

_STEPS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def compressed_layers(model):
    """List the compressed layers of a model, those of nested models included."""
    return [layer for layer in all_layers(model) if isinstance(layer, CompressedLayer)]


class TrainingStep:
    """Counts the optimizer's updates since compression began.

    The count is `optimizer.iterations - origin`. The optimizer counts in the traced step, so the
    count is right at any moment a checkpoint may be taken, in whatever order callbacks are
    listed. `origin` is a weight of the compressed layers, fixed at the first batch. A new
    optimizer starts at zero again; then the origin moves so that the count goes on from the last
    one recorded.

    A plain model has no place for such weights. There the count begins where the optimizer stood
    when `fit` was called, before a checkpoint was restored: a script that was killed and runs
    again begins at the same place, and what `BackupAndRestore` adds is counted.

    All callbacks of a model share one object (`TrainingStep.of`), so that one of them can hold
    the count for all.

    Args:
        model: A compiled model.

    Attributes:
        recorded: The last count written into the model, -1 before the first.
        outside: Variables of the state that the model does not hold: masks of a plain model.
        waiting_since: The count before an update that is due and waits, or `None`. No later count
            is recorded, so that a restart finds the update due.
    """

    def __init__(self, model):
        self._model = weakref.ref(model)
        self._holders = compressed_layers(model)
        self._origin = None
        self._held_at = None
        self._owner = None
        self._optimizer: weakref.ref | None = None
        self.recorded = -1
        self.outside = []
        self.waiting_since = None

    @classmethod
    def of(cls, model):
        """Return the one `TrainingStep` of a model."""
        if model not in _STEPS:
            _STEPS[model] = cls(model)
        return _STEPS[model]

    @property
    def iterations(self):
        """Updates that the optimizer has made."""
        model: Any = self._model()
        return int(np.asarray(model.optimizer.iterations))

    def attach(self, owner, initial_step=0):
        """Note where the optimizer of a plain model stands; to be called before checkpoints load.

        Args:
            owner: The callback that counts. The same one again goes on counting, also with a
                new optimizer; another one starts at its initial step.
            initial_step: The count with which a new owner begins.
        """
        optimizer = getattr(self._model(), "optimizer", None)
        if self._holders or optimizer is None:
            return
        if self._owner is None or self._owner() is not owner:
            self._owner, self.recorded = weakref.ref(owner), -1
            self._origin = self.iterations - initial_step
        elif self._optimizer is None or self._optimizer() is not optimizer:
            self._origin = self.iterations - max(self.recorded, 0)
        self._optimizer = weakref.ref(optimizer)

    def begin(self) -> None:
        """Forget that a training that was interrupted held the count, or waited."""
        self._held_at = None
        self.waiting_since = None

    def resolve(self):
        """Fix the origin; to be called at a train batch, when checkpoints have been restored."""
        if not self._holders:
            self._origin = self.iterations if self._origin is None else self._origin
            return
        iterations, holder = self.iterations, self._holders[0]
        self._origin, recorded = int(np.asarray(holder.origin)), int(np.asarray(holder.step))
        if self._origin == UNSET_ORIGIN:
            self._origin, recorded = iterations, -1
        elif iterations - self._origin < recorded:
            self._origin = iterations - recorded
        self.recorded = recorded
        self._write_origin()

    @property
    def current(self):
        """The number of updates made since compression began, but for those while held."""
        if self._held_at is not None:
            return self._held_at
        if self._origin is None:
            self.resolve()
        return self.iterations - self._origin

    def record(self):
        """Write the count into the model, for the optimizer that may come after this one."""
        self.recorded = self.current
        if self.waiting_since is not None:
            self.recorded = min(self.recorded, self.waiting_since)
        if self._held_at is not None:
            self._origin = self.iterations - self._held_at
            self._write_origin()
        for holder in self._holders:
            holder.step.assign(self.recorded)

    @property
    def held(self):
        """Whether the count stands still."""
        return self._held_at is not None

    def hold(self):
        """Let the count stand still while training goes on."""
        self._held_at = self.current

    def release(self):
        """Let the count go on from where it was held."""
        if self.held:
            self.rewind(self._held_at)

    def rewind(self, step):
        """Set the count.

        Args:
            step: The number of updates from which the count goes on.
        """
        self._held_at = None
        self._origin = self.iterations - step
        self._write_origin()
        self.record()

    def _write_origin(self):
        for holder in self._holders:
            holder.origin.assign(self._origin)


class StepWatch:
    """Reads the step only when something may be due, for reading waits for the device.

    Args:
        step: A `TrainingStep`.
    """

    def __init__(self, step):
        self._step = step
        self._updates_per_batch = None
        self.wake()

    def wake(self):
        """Have the next batch read the step."""
        self._last_step = None
        self._batches, self._wait = 0, 1

    def read(self):
        """Return the step, or `None` while nothing can be due; to be called once a batch.

        A batch here is one execution of the train function, which may make many updates
        (`steps_per_execution`) or none (gradient accumulation).
        """
        self._batches += 1
        if self._batches < self._wait:
            return None
        step = self._step.current
        if self._last_step is not None:
            pace = -(-(step - self._last_step) // self._batches)
            self._updates_per_batch = max(self._updates_per_batch or 1, pace)
        self._last_step = step
        self._batches, self._wait = 0, 1
        return step

    def sleep(self, updates):
        """Say that nothing is due before a number of updates more.

        Args:
            updates: Positive integer.
        """
        if self._updates_per_batch is not None:
            self._wait = max(1, updates // self._updates_per_batch)
