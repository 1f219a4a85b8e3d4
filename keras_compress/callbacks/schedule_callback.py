"""The base class of callbacks that mask more and more of a model along a schedule."""

from collections.abc import Iterable
from typing import Any

import keras
from absl import logging

from keras_compress.callbacks.step_callback import StepCallback
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.base import Schedule


class ScheduleCallback(StepCallback):
    """Updates masks right after the update steps of its schedules.

    A subclass computes the masks in `apply`. An update that a restart or a long execution
    (`steps_per_execution`) skips is made up for. An update waits until `ready` returns true.

    Args:
        schedule: A `Schedule`.
        initial_step: The step at which counting starts on a plain model, which cannot store the
            step of an earlier training. Default 0.

    Raises:
        InvalidArgumentError: `schedule` is not a schedule, or `initial_step` is not a step.
    """

    def __init__(self, schedule: Schedule, initial_step: int = 0):
        super().__init__()
        check_schedule(schedule)
        _check_initial_step(initial_step)
        self.schedule = schedule
        self.initial_step = initial_step

    @property
    def schedules(self) -> list[Schedule]:
        """The schedules to follow."""
        return [self.schedule]

    @property
    def masked(self) -> bool:
        """Whether masks set anything to zero."""
        raise NotImplementedError

    def apply(self, schedule: Schedule, sparsity: float) -> None:
        """Compute new masks.

        Args:
            schedule: The schedule whose update is due.
            sparsity: Float in [0, 1), the sparsity it prescribes.
        """
        raise NotImplementedError

    def check_length(self) -> None:
        """See `StepCallback.check_length`."""
        for schedule in self.schedules:
            schedule.check_length(self.length)

    def fix_steps(self) -> None:
        """See `StepCallback.fix_steps`."""
        self._fixed = {schedule: schedule.at(self.length) for schedule in self.schedules}

    def too_late(self, end: int) -> Iterable[str]:
        """See `StepCallback.too_late`; a mask may still follow the last step."""
        for schedule in dict.fromkeys(self._fixed.values()):
            complete_at = schedule.complete_at
            if complete_at is not None and complete_at > end:
                yield (
                    f"{type(schedule).__name__} reaches {schedule.last_sparsity:g} at step "
                    f"{complete_at}"
                )

    def measure(self) -> None:
        """Measure for the logs how much masks set to zero."""

    def ready(self, schedule: Schedule) -> bool:
        """Tell whether a due update of a schedule can be made now."""
        return True

    def set_model(self, model: keras.Model) -> None:
        """Read the optimizer's count before any callback restores a checkpoint."""
        super().set_model(model)
        self._step.attach(self, self.initial_step)
        # These are from an earlier training; callbacks add theirs when this training begins.
        self._step.outside.clear()

    def resume(self, step: int) -> None:
        """Restore masks: saved masks stay unless an update was missed."""
        since = self._step.recorded_of(self) if self.masked else -1
        self._followed_until = dict.fromkeys(self.schedules, since)
        self._masked_to = {s: _sparsity_after(self._fixed[s], since) for s in self.schedules}
        self._follow_all(step)
        self.measure()

    @property
    def target_reached(self) -> bool:
        """See `StepCallback.target_reached`: masks have the final sparsity of each schedule."""
        return all(self._masked_to[s] >= s.last_sparsity for s in self.schedules)

    def update(self, step: int) -> None:
        """See `StepCallback.update`."""
        if self._follow_all(step):
            self._step.record()
            self.measure()

    def next_change(self, step: int) -> int:
        """See `StepCallback.next_change`."""
        return min(schedule.next_update(step) for schedule in self._fixed.values())

    def pending(self, schedule: Schedule, step: int) -> int | None:
        """Return the update step of a schedule that is due but not yet made, or `None`."""
        return self._fixed[schedule].last_update(self._followed_until[schedule], step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the masks that are due."""
        self.look()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure again, because `AccuracyGuard` may have restored an earlier state."""
        self.measure()
        super().on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Warn if training ended before the schedule."""
        if self.running:
            self.measure()
            self._warn_if_cut_short()

    def _follow_all(self, step):
        updated = [self._follow(schedule, step) for schedule in self.schedules]
        return any(updated)

    def _follow(self, schedule, step):
        if step < self._followed_until[schedule]:  # `AccuracyGuard` restored an earlier state.
            self._masked_to[schedule] = _sparsity_after(self._fixed[schedule], step)
        due = self.pending(schedule, step)
        if due is not None and not self.ready(schedule):
            return False
        self._followed_until[schedule] = step
        if due is None:
            return False
        self._masked_to[schedule] = self._fixed[schedule](due)
        self.apply(schedule, self._masked_to[schedule])
        return True

    def _warn_if_cut_short(self):
        for schedule in dict.fromkeys(self._fixed.values()):
            end = schedule.complete_at
            if end is not None and self.step < end:
                logging.warning(
                    "Training ended at step %d, before the last mask of %s at step %d: %s.",
                    self.step,
                    type(schedule).__name__,
                    end,
                    ", ".join(f"{name} is {value:.3f}" for name, value in self.logs().items()),
                )


def check_schedule(schedule: Schedule) -> None:
    """Check that a value is a `Schedule`.

    Raises:
        InvalidArgumentError: It is not.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidArgumentError(
            "schedule must be a schedule of keras_compress, such as "
            "kc.PolynomialDecay(final_sparsity=0.8, end_step=4000). "
            f"Received: schedule={schedule!r}"
        )


def _sparsity_after(schedule, step):
    """Return the sparsity of the last mask up to a step, 0 before the first."""
    due = schedule.last_update(-1, step)
    return 0.0 if due is None else schedule(due)


def _check_initial_step(initial_step):
    if not isinstance(initial_step, int) or initial_step < 0:
        raise InvalidArgumentError(
            f"initial_step must be an integer >= 0. Received: initial_step={initial_step!r}"
        )
