"""Drives masks along a schedule during `fit`."""

import sys
from collections.abc import Mapping

from keras_compress.callbacks.pruning_targets import find_targets
from keras_compress.callbacks.schedule_callback import ScheduleCallback, check_schedule
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.masks import check_items, compute_masks
from keras_compress.spec import Pruning


class PruningCallback(ScheduleCallback):
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
        >>> import keras, numpy as np
        >>> from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 4))
        >>> history = model.fit(x, x, verbose=0, callbacks=[PruningCallback(ConstantSparsity(0.5))])
        >>> history.history["sparsity"], int(np.sum(model.layers[0].kernel == 0))
        ([0.5], 8)
    """

    def __init__(self, schedule, pruning=None, initial_step=0):
        super().__init__(schedule, initial_step)
        _check_pruning(pruning)
        self.pruning = pruning
        self.sparsity = 0.0

    @property
    def schedules(self):
        """See `ScheduleCallback.schedules`."""
        return list(self._groups)

    @property
    def masked(self):
        """See `ScheduleCallback.masked`."""
        return any(target.counts()[0] for target in self._found.targets)

    def begin(self):
        """Find what there is to prune and check that it can be."""
        self._found = find_targets(self.model, self.pruning)
        self._groups = _by_schedule(self._found.targets, self.schedule)
        for schedule, targets in self._groups.items():
            _check_group(schedule, targets)
        self._step.outside.extend(self._found.outside)

    def apply(self, schedule, sparsity):
        """See `ScheduleCallback.apply`."""
        targets = self._groups[schedule]
        masks = compute_masks([target.prunable_weights() for target in targets], sparsity)
        for target, mask in zip(targets, masks, strict=True):
            target.set_mask(mask)
        self._found.enforce()

    def measure(self):
        """See `ScheduleCallback.measure`."""
        counts = [target.counts() for target in self._found.targets]
        zeros, sizes = zip(*counts, strict=True)
        self.sparsity = float(sum(zeros) / sum(sizes))

    def logs(self):
        """See `StepCallback.logs`."""
        return {"sparsity": self.sparsity}

    def end(self):
        """Leave a plain model as plain as it was."""
        super().end()
        self._found.release()


def _by_schedule(targets, default):
    """Group targets that share a schedule: a global ranking is made within a group."""
    groups = {}
    for target in targets:
        groups.setdefault(target.pruning.schedule or default, []).append(target)
    return groups


def _check_group(schedule, targets):
    check_schedule(schedule)
    check_items([target.prunable_weights() for target in targets], schedule(sys.maxsize))


def _check_pruning(pruning):
    specs = pruning.values() if isinstance(pruning, Mapping) else [pruning]
    if not all(spec is None or isinstance(spec, Pruning) for spec in specs):
        raise InvalidArgumentError(
            "pruning must be a kc.Pruning or a dict from layer name to kc.Pruning. "
            f"Received: pruning={pruning!r}"
        )
