"""Drives masks along a schedule during `fit`."""

import sys
from collections.abc import Mapping

import keras
from absl import logging

from keras_compress.callbacks.pruning_targets import find_targets
from keras_compress.callbacks.training_step import StepWatch, TrainingStep
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.masks import check_items, compute_masks
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.spec import Pruning

# How far to look ahead for the next mask before asking again.
_HORIZON = 1000


class PruningCallback(keras.callbacks.Callback):
    """Prunes a model while `fit` trains it.

    At the steps that the schedule names, weights are scored anew and the masks follow. The
    current sparsity, the fraction of the prunable weights that masks hold at zero, is in the logs
    as `sparsity`: of each batch and of each epoch. Callbacks listed after this one see it, and
    so do the progress bar and `History`, which Keras always calls last; list `TensorBoard`,
    `CSVLogger` and the like after it.

    On a compressed model masks and step are weights of the model: checkpoints,
    `BackupAndRestore` and `.keras` files carry them, and training goes on where it was. A plain
    model is pruned in place: its kernels are zeros where the masks say after each update, and an
    ordinary Keras model is left over when training ends. There the step is counted from the
    begin of the first `fit` with this callback, to which `BackupAndRestore` comes back too.

    A short fine-tuning leaves BatchNormalizations with statistics of the model before: measure
    them again with `kc.reestimate_batch_norm(model, x)` when the sparsity is high.

    Args:
        schedule: A `Schedule`. Layers whose `Pruning` has a schedule of its own follow that.
        pruning: For a plain model, `Pruning` or a dict from layer name to `Pruning`. Default:
            `Pruning()`, single weights by magnitude in all layers of known types.
        initial_step: For a plain model that was saved in mid-schedule and loaded again, the step
            at which it was saved: the file of a plain model holds no such number.

    Raises:
        InvalidArgumentError: `schedule` is no schedule, `initial_step` no step; in `fit`, there is
            nothing to prune, or a pattern cannot follow its schedule.

    Example:
        >>> import numpy as np
        >>> from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 4))
        >>> history = model.fit(x, x, verbose=0, callbacks=[PruningCallback(ConstantSparsity(0.5))])
        >>> history.history["sparsity"], int(np.sum(model.layers[0].kernel == 0))
        ([0.5], 8)
    """

    def __init__(self, schedule, pruning=None, initial_step=0):
        super().__init__()
        _check_schedule(schedule)
        _check_pruning(pruning)
        _check_initial_step(initial_step)
        self.initial_step = initial_step
        self.schedule = schedule
        self.pruning = pruning
        self.sparsity = 0.0
        self._found = None
        self._running = False

    @property
    def step(self):
        """The step that schedules see: updates made since pruning began."""
        return self._step.current

    def set_model(self, model):
        """Note where the optimizer stands before any callback restores a checkpoint."""
        super().set_model(model)
        self._step = TrainingStep.of(model)
        self._step.attach(self, self.initial_step)

    def on_train_begin(self, logs=None):
        """Find what there is to prune and check that it can be."""
        self._found = find_targets(self.model, self.pruning)
        self._groups = _by_schedule(self._found.targets, self.schedule)
        for schedule, targets in self._groups:
            _check_group(schedule, targets)
        self._step.begin()
        self._step.outside = self._found.outside
        self._watch = StepWatch(self._step)
        self._running = False

    def on_epoch_begin(self, epoch, logs=None):
        """Look at the step again: between epochs it may have been held or set."""
        self._watch.wake()

    def on_train_batch_begin(self, batch, logs=None):
        """Catch up with the step, once all callbacks have restored what they restore."""
        if not self._running:
            self._running = True
            self._step.resolve()
            self._catch_up()

    def on_train_batch_end(self, batch, logs=None):
        """Update the masks that are due."""
        step = self._watch.read()
        if step is not None:
            self._follow(step)
        if logs is not None:
            logs["sparsity"] = self.sparsity

    def on_test_begin(self, logs=None):
        """Record the step in the model before anyone saves it at the end of the epoch."""
        if self._running:
            self._step.record()

    def on_epoch_end(self, epoch, logs=None):
        """Record the step in the model and the sparsity in the logs."""
        self._step.record()
        if logs is not None:
            logs["sparsity"] = self.sparsity

    def on_train_end(self, logs=None):
        """Record the step and leave a plain model as plain as it was."""
        if self._running:
            self._step.record()
            self._measure()
            self._tell_if_cut_short()
        self._found.release()
        self._running = False

    def _catch_up(self):
        """Bring masks to where they were: saved ones stay unless an update was missed."""
        step = self._step.current
        dense = not any(target.counts()[0] for target in self._found.targets)
        since = -1 if dense else self._step.recorded
        self._update(since, step)
        self._consulted = step
        self._measure()

    def _follow(self, step):
        if self._update(self._consulted, step):
            self._step.record()
            self._measure()
        self._consulted = step
        self._watch.sleep(self._distance(step))

    def _update(self, since, step):
        """Compute the masks whose last update lies after `since`; return whether there are any."""
        updated = False
        for schedule, targets in self._groups:
            due = _last_update(schedule, since, step)
            if due is not None:
                masks = compute_masks(
                    [target.prunable_weights() for target in targets], schedule(due)
                )
                for target, mask in zip(targets, masks, strict=True):
                    target.set_mask(mask)
                updated = True
        if updated:
            self._found.enforce()
        return updated

    def _distance(self, step):
        """Return the updates until the next mask is due."""
        ahead = range(step + 1, step + 1 + _HORIZON)
        due = (s for s in ahead if any(schedule.should_update(s) for schedule, _ in self._groups))
        return next(due, ahead.stop) - step

    def _measure(self):
        counts = [target.counts() for target in self._found.targets]
        zeros, sizes = zip(*counts, strict=True)
        self.sparsity = float(sum(zeros) / sum(sizes))

    def _tell_if_cut_short(self):
        end = getattr(self.schedule, "end_step", None)
        if end is not None and self.step < end:
            logging.warning(
                "Training ended at step %d, before the end_step=%d of %s: sparsity is %.3f.",
                self.step,
                end,
                type(self.schedule).__name__,
                self.sparsity,
            )


def _last_update(schedule, since, step):
    """Return the last update step in (since, step], or `None`."""
    return next((s for s in range(step, since, -1) if schedule.should_update(s)), None)


def _by_schedule(targets, default):
    """Group targets that share a schedule: a global ranking is made within a group."""
    groups = {}
    for target in targets:
        groups.setdefault(target.pruning.schedule or default, []).append(target)
    return list(groups.items())


def _check_group(schedule, targets):
    _check_schedule(schedule)
    check_items([target.prunable_weights() for target in targets], schedule(sys.maxsize))


def _check_schedule(schedule):
    if not isinstance(schedule, Schedule):
        raise InvalidArgumentError(
            "schedule must be a schedule of keras_compress, such as "
            "kc.PolynomialDecay(final_sparsity=0.8, end_step=4000). "
            f"Received: schedule={schedule!r}"
        )


def _check_pruning(pruning):
    specs = pruning.values() if isinstance(pruning, Mapping) else [pruning]
    if not all(spec is None or isinstance(spec, Pruning) for spec in specs):
        raise InvalidArgumentError(
            "pruning must be a kc.Pruning or a dict from layer name to kc.Pruning. "
            f"Received: pruning={pruning!r}"
        )


def _check_initial_step(initial_step):
    if not isinstance(initial_step, int) or initial_step < 0:
        raise InvalidArgumentError(
            f"initial_step must be an integer >= 0. Received: initial_step={initial_step!r}"
        )
