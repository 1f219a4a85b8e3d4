"""The base classes of schedules and the checks of their arguments."""

import abc
import dataclasses
import math
import numbers
from typing import Any

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.plugins import Plugin

# Number of steps to search ahead for the next update.
_HORIZON = 1000


@dataclasses.dataclass(frozen=True)
class Schedule(Plugin, abc.ABC):
    """Maps a training step to a sparsity.

    A step is the number of weight updates so far: step 0 is the state before the first update. A
    schedule is stateless, so a resumed training gets the same sparsity at the same step.
    """

    @abc.abstractmethod
    def __call__(self, step: int) -> float:
        """Return the sparsity at a step.

        Args:
            step: Integer, the number of weight updates so far.

        Returns:
            Float in [0, 1), the fraction of weights that are zero.
        """

    @abc.abstractmethod
    def should_update(self, step: int) -> bool:
        """Tell whether masks are updated at a step.

        Args:
            step: Integer, the number of weight updates so far.

        Returns:
            Boolean.
        """

    def last_update(self, since: int, step: int) -> int | None:
        """Return the last update step in (since, step], or `None`.

        Args:
            since: Integer, the step up to which updates have been made.
            step: Integer, the number of weight updates so far.
        """
        return next((s for s in range(step, since, -1) if self.should_update(s)), None)

    def next_update(self, step: int) -> int:
        """Return the first update step after a step, or the step where the search for it ended.

        Args:
            step: Integer, the number of weight updates so far.
        """
        ahead = range(step + 1, step + 1 + _HORIZON)
        return next((s for s in ahead if self.should_update(s)), ahead.stop)


@dataclasses.dataclass(frozen=True)
class RampSchedule(Schedule):
    """A schedule that moves from an initial to a final sparsity between two steps.

    A subclass defines the shape of the ramp in `remaining`.

    Args:
        final_sparsity: Float in [0, 1), reached at `end_step` and kept from then on.
        initial_sparsity: Float in [0, `final_sparsity`], where the ramp starts.
        begin_step: Step of the first mask.
        end_step: Step of the last mask (keyword only).
        frequency: Steps between two masks (keyword only).
    """

    final_sparsity: float
    initial_sparsity: float = 0.0
    begin_step: int = 0
    _: dataclasses.KW_ONLY
    end_step: int
    frequency: int = 100

    def __post_init__(self):
        check_sparsities(self, "final_sparsity", "initial_sparsity")
        check_steps(self, "begin_step", "end_step")
        check_frequency(self)
        if self.initial_sparsity > self.final_sparsity:
            raise InvalidArgumentError(
                "initial_sparsity must not be above final_sparsity. "
                f"Received: initial_sparsity={self.initial_sparsity}, "
                f"final_sparsity={self.final_sparsity}"
            )

    @abc.abstractmethod
    def remaining(self, progress: float) -> float:
        """Return the fraction of the ramp that remains, from 1 at the start to 0 at the end.

        Args:
            progress: Float in [0, 1], the fraction of the ramp's steps that are done.
        """

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        if step >= self.end_step:
            return self.final_sparsity
        if step <= self.begin_step:
            return self.initial_sparsity
        progress = (step - self.begin_step) / (self.end_step - self.begin_step)
        gap = self.initial_sparsity - self.final_sparsity
        return self.final_sparsity + gap * self.remaining(progress)

    def should_update(self, step: int) -> bool:
        """See `Schedule.should_update`."""
        return is_update_step(step, self.begin_step, self.end_step, self.frequency)


def is_update_step(step: int, begin_step: int, end_step: int | None, frequency: int) -> bool:
    """Tell whether masks are updated at a step.

    Updates happen at `begin_step`, every `frequency` steps after it, and at `end_step`. Without the
    last one, a ramp whose length is not a multiple of `frequency` would never reach its final
    sparsity.

    Args:
        step: Integer, the step in question.
        begin_step: Integer, the first update.
        end_step: Integer, the last update, or `None` to go on forever.
        frequency: Integer, steps between two updates.

    Returns:
        Boolean.
    """
    if step < begin_step or (end_step is not None and step > end_step):
        return False
    return (step - begin_step) % frequency == 0 or step == end_step


def check_sparsities(schedule: Schedule, *arguments: str) -> None:
    """Check that fields are fractions in [0, 1) and store them as Python floats."""
    for argument in arguments:
        value = getattr(schedule, argument)
        if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
            raise InvalidArgumentError(
                f"{argument} must be a fraction in [0, 1): 0.8 prunes 80 % of the weights. "
                f"Received: {argument}={value!r}"
            )
        object.__setattr__(schedule, argument, float(value))


def check_steps(schedule: Schedule, *arguments: str) -> None:
    """Check that fields are steps in ascending order and store them as Python integers."""
    previous = None
    for argument in arguments:
        value = getattr(schedule, argument)
        if not _is_integer(value) or value < 0:
            raise InvalidArgumentError(
                f"{argument} must be an integer >= 0, in training steps (batches, not "
                f"epochs). Received: {argument}={value!r}"
            )
        object.__setattr__(schedule, argument, int(value))
        if previous is not None and value < getattr(schedule, previous):
            raise InvalidArgumentError(
                f"{argument} must not come before {previous}. Received: "
                f"{previous}={getattr(schedule, previous)}, {argument}={value}"
            )
        previous = argument


def check_frequency(schedule: Schedule) -> None:
    """Check that the field `frequency` is a positive integer and store it as one."""
    value = vars(schedule)["frequency"]
    if not _is_integer(value) or value < 1:
        raise InvalidArgumentError(
            "frequency must be an integer >= 1, the steps between two masks. "
            f"Received: frequency={value!r}"
        )
    object.__setattr__(schedule, "frequency", int(value))


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value) and float(value).is_integer()
