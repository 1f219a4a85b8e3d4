"""Updates masks along a schedule during `fit`."""

import warnings
from collections.abc import Mapping
from typing import Any

from absl import logging

from keras_compress.callbacks.observation import Observation
from keras_compress.callbacks.pruned_before import PrunedBefore
from keras_compress.callbacks.pruning_targets import Target, check_zeros, find_targets
from keras_compress.callbacks.schedule_callback import (
    ScheduleCallback,
    check_schedule,
)
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.masks import check_items, compute_masks
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.spec import Pruning
from keras_compress.wrappers.model_kernels import in_words


class PruningCallback(ScheduleCallback):
    """Prunes a model while `fit` trains it.

    At the update steps of the schedule, the callback scores the weights again and computes new
    masks. The current sparsity is in the logs of each batch and epoch as `sparsity`:

        sparsity = weights that masks set to zero / weights of all prunable kernels of the model

    Kernels that are not pruned count too, those of recurrent layers for example. Layers that
    pruning does not reach are named in a warning when `fit` begins. Callbacks listed after this one
    see the logs, and so do the progress bar and `History`, which Keras always calls last. List
    `TensorBoard`, `CSVLogger` and the like after this callback.

    In a compressed model, masks and step are weights of the model. Checkpoints, `BackupAndRestore`
    and `.keras` files contain them, and training resumes where it stopped. A plain model is pruned
    in place: masked weights are set to zero after each update, and the result is an ordinary Keras
    model. Its steps count from the start of the first `fit` with this callback, also when
    `BackupAndRestore` resumes that training. What is pruned when `fit` begins stays pruned: masks
    prune more once the schedule prescribes more.

    Keras' `EarlyStopping`, `ReduceLROnPlateau` and checkpoints of the best epoch compare only
    epochs in which `target_reached` is true, wherever they are listed. After `fit`, the zeros of
    the model are compared with the logs.

    A short fine-tuning leaves BatchNormalizations with statistics of the model before pruning. If
    the sparsity is high, measure them again with `kc.reestimate_batch_norm(model, x)`.

    Args:
        schedule: A `Schedule`. Layers whose `Pruning` has its own schedule follow that one.
        pruning: For a plain model, `Pruning` or a dict from layer name to `Pruning`. Default:
            `Pruning()`, individual weights by magnitude in all layers of supported types.
        initial_step: For a plain model that was saved in mid-schedule and loaded again, the step
            at which it was saved, because the file of a plain model does not contain the step.
        observed_steps: Number of updates before each mask update in which gradients or activations
            are summed, for criteria that need them (`movement`, `taylor`, `snip`, `wanda`). A mask
            update that is due before that many updates were observed waits. This also happens
            after a restart, because sums are not saved. All other steps run at full speed. Works
            only with the TensorFlow backend.

    Raises:
        InvalidArgumentError: `schedule` is not a schedule, `initial_step` is not a step, or
            `observed_steps` is not positive; in `fit`, there is nothing to prune, a pattern cannot
            follow its schedule, or gradients or activations that a criterion needs are not
            available.
        CompressionError: After `fit`, the model has fewer zeros than the logs say.

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

    def __init__(
        self,
        schedule: Schedule,
        pruning: Pruning | Mapping[str, Pruning | None] | None = None,
        initial_step: int = 0,
        observed_steps: int = 10,
    ):
        super().__init__(schedule, initial_step)
        _check_pruning(pruning)
        _check_observed_steps(observed_steps)
        self.observed_steps = observed_steps
        self.pruning = pruning
        self.sparsity = 0.0

    @property
    def schedules(self) -> list[Schedule]:
        """See `ScheduleCallback.schedules`."""
        return list(self._groups)

    @property
    def masked(self) -> bool:
        """See `ScheduleCallback.masked`."""
        pruned = self._pruned
        return pruned.stores_masks and any(target.counts()[0] for target in pruned.targets)

    def begin(self) -> None:
        """Find the kernels to prune and check that masks can be computed."""
        self._pruned = find_targets(self.model, self.pruning)
        self._groups = _by_schedule(self._pruned.targets, self.schedule)
        self._observation = Observation(self.model, self._pruned.targets, self.observed_steps)
        for schedule, targets in self._groups.items():
            self._check_group(schedule, targets)
        self._step.outside.extend(self._pruned.outside)
        self._warn_of_unreached()

    def apply(self, schedule: Schedule, sparsity: float) -> None:
        """See `ScheduleCallback.apply`."""
        targets = self._groups[schedule]
        self._observation.check(targets)
        masks = compute_masks([self._observation.weights(target) for target in targets], sparsity)
        for target, mask in self._before.without_loss(targets, masks):
            target.set_mask(mask)
        self._pruned.enforce()
        self._observation.reset(targets)

    def ready(self, schedule: Schedule) -> bool:
        """See `ScheduleCallback.ready`: enough steps must have been observed."""
        if not self._observation.concerns(self._groups[schedule]):
            return True
        return self._observation.missing(self._step.iterations) == 0

    def resume(self, step: int) -> None:
        """See `ScheduleCallback.resume`; what was pruned before this training stays pruned."""
        self._before = PrunedBefore(self._pruned.targets, self._pruned.stores_masks)
        super().resume(step)
        for schedule, targets in self._groups.items():
            self._keep_pruned(schedule, targets)
        self._observe(step)

    def update(self, step: int) -> None:
        """See `ScheduleCallback.update`."""
        super().update(step)
        self._observe(step)

    def next_change(self, step: int) -> int:
        """See `StepCallback.next_change`; observation begins before a mask update is due."""
        begins = [begin for begin in self._observation_begins(step) if begin > step]
        if len(begins) < len(self._observed):
            begins.append(step + max(1, self._observation.missing(self._step.iterations)))
        return min([super().next_change(step), *begins])

    def measure(self) -> None:
        """See `ScheduleCallback.measure`."""
        zeros = sum(target.counts()[0] for target in self._pruned.targets)
        self.sparsity = float(zeros / self._pruned.size)

    def logs(self) -> dict[str, float]:
        """See `StepCallback.logs`."""
        return {"sparsity": self.sparsity}

    def enforce(self) -> None:
        """See `StepCallback.enforce`."""
        self._pruned.enforce()

    def check_result(self) -> None:
        """See `StepCallback.check_result`."""
        if self.describes_model:
            check_zeros(self._pruned, self.last_logs["sparsity"])

    def end(self) -> None:
        """Turn a plain model back into an ordinary one, with zeros in place of masks."""
        super().end()
        self._observation.end()
        self._pruned.release()

    @property
    def _observed(self):
        """The schedules of kernels whose criteria need gradients or activations."""
        return [s for s, targets in self._groups.items() if self._observation.concerns(targets)]

    def _observe(self, step):
        """Observe training steps only shortly before a mask update."""
        waiting = [s for s in self._observed if self.pending(s, step) is not None]
        start = self._step.start_of(self)
        followed = [self._followed_until[schedule] + start for schedule in waiting]
        self._step.waiting_since = min(followed, default=None)
        if any(begin <= step for begin in self._observation_begins(step)):
            self._observation.begin(self._step.iterations)
        else:
            self._observation.end()

    def _observation_begins(self, step):
        """Yield for each observed schedule the step from which on steps are observed."""
        for schedule in self._observed:
            if self.pending(schedule, step) is not None:
                yield step
                continue
            fixed = self._fixed[schedule]
            next_update = fixed.next_update(step)
            is_update = fixed.should_update(next_update)
            yield next_update - self.observed_steps if is_update else next_update

    def _keep_pruned(self, schedule, targets):
        final, share = schedule.last_sparsity, self._before.share(targets)
        if self._before.reaches(targets, final):
            self._masked_to[schedule] = final
        if share > final + 1e-3:
            logging.warning(
                "PruningCallback keeps the %.1f %% of the weights that are pruned already, more "
                "than the %.1f %% at which %s ends. To train these weights again, first call fit "
                "without it.",
                100 * share,
                100 * final,
                type(schedule).__name__,
            )

    def _warn_of_unreached(self):
        unreached = self._pruned.unreached
        if unreached:
            inside = "kc.compress does not prune what is inside another layer, such as "
            inside += "TimeDistributed; kc.PruningCallback does in a plain model. "
            warnings.warn(
                f"PruningCallback: {in_words(unreached)} will be pruned. They count in the "
                f"sparsity of the logs. {inside if self._pruned.stores_masks else ''}A custom "
                "layer is pruned if it has compressed_weights (docs/custom_layers.md). To leave "
                "layers out without this warning, select the others by name or with "
                "kc.Pruning(layers=...).",
                stacklevel=2,
            )

    def _check_group(self, schedule, targets):
        check_schedule(schedule)
        weights = [self._observation.weights(target) for target in targets]
        check_items(weights, schedule.last_sparsity)


def _by_schedule(targets, default):
    """Group targets by schedule; a global ranking ranks the targets of one group together."""
    groups: dict[Any, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.pruning.schedule or default, []).append(target)
    return groups


def _check_pruning(pruning):
    specs = pruning.values() if isinstance(pruning, Mapping) else [pruning]
    if not all(spec is None or isinstance(spec, Pruning) for spec in specs):
        raise InvalidArgumentError(
            "pruning must be a kc.Pruning or a dict from layer name to kc.Pruning. "
            f"Received: pruning={pruning!r}"
        )


def _check_observed_steps(observed_steps):
    if not isinstance(observed_steps, int) or observed_steps < 1:
        raise InvalidArgumentError(
            f"observed_steps must be an integer >= 1. Received: observed_steps={observed_steps!r}"
        )
