"""What callbacks share that mask ever more of a model along a schedule."""

from typing import Any

import keras
from absl import logging

from keras_compress.callbacks.step_callback import StepCallback
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.base import Schedule


class ScheduleCallback(StepCallback):
    """Updates masks right after the steps that schedules name.

    A subclass says in `apply` what a sparsity means. An update that a restart or a long execution
    (`steps_per_execution`) has skipped is made up for; one for which `ready` is not yet true
    waits.

    Args:
        schedule: A `Schedule`.
        initial_step: The step at which counting begins on a plain model, which has no place for
            the step of an earlier training. Default 0.

    Raises:
        InvalidArgumentError: `schedule` is no schedule, `initial_step` no step.
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
        """Whether masks hold anything at zero."""
        raise NotImplementedError

    def apply(self, schedule: Schedule, sparsity: float) -> None:
        """Compute masks anew.

        Args:
            schedule: The schedule whose update is due.
            sparsity: Float in [0, 1), what it asks for.
        """
        raise NotImplementedError

    def measure(self) -> None:
        """Note how much masks hold at zero, for the logs."""

    def ready(self, schedule: Schedule) -> bool:
        """Tell whether an update of a schedule that is due can be made now."""
        return True

    def set_model(self, model: keras.Model) -> None:
        """Note where the optimizer stands before any callback restores a checkpoint."""
        super().set_model(model)
        self._step.attach(self, self.initial_step)
        # Those of an earlier training; this one's callbacks add theirs when it begins.
        self._step.outside.clear()

    def resume(self, step: int) -> None:
        """Bring masks to where they were: saved ones stay unless an update was missed."""
        since = self._step.recorded if self.masked else -1
        self._consulted = dict.fromkeys(self.schedules, since)
        self._follow_all(step)
        self.measure()

    def update(self, step: int) -> None:
        """See `StepCallback.update`."""
        if self._follow_all(step):
            self._step.record()
            self.measure()

    def next_change(self, step: int) -> int:
        """See `StepCallback.next_change`."""
        return min(schedule.next_update(step) for schedule in self.schedules)

    def pending(self, schedule: Schedule, step: int) -> int | None:
        """Return the update step of a schedule that is due and not yet made, or `None`."""
        return schedule.last_update(self._consulted[schedule], step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the masks that are due."""
        self.look()
        super().on_train_batch_end(batch, logs)

    def end(self) -> None:
        """Say so where training ended before the schedule."""
        if self.running:
            self.measure()
            self._warn_if_cut_short()

    def _follow_all(self, step):
        made = [self._follow(schedule, step) for schedule in self.schedules]
        return any(made)

    def _follow(self, schedule, step):
        due = self.pending(schedule, step)
        if due is not None and not self.ready(schedule):
            return False
        self._consulted[schedule] = step
        if due is None:
            return False
        self.apply(schedule, schedule(due))
        return True

    def _warn_if_cut_short(self):
        end = getattr(self.schedule, "end_step", None)
        if end is not None and self.step < end:
            logging.warning(
                "Training ended at step %d, before the end_step=%d of %s: %s.",
                self.step,
                end,
                type(self.schedule).__name__,
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


def _check_initial_step(initial_step):
    if not isinstance(initial_step, int) or initial_step < 0:
        raise InvalidArgumentError(
            f"initial_step must be an integer >= 0. Received: initial_step={initial_step!r}"
        )
