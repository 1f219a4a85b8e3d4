"""The base classes of schedules and the checks of their arguments."""

import abc
import dataclasses
import numbers
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.plugins import Plugin
from keras_compress.support.steps import (
    Epochs,
    Step,
    TrainingLength,
    as_step,
    check_order,
    is_relative,
)

# Number of steps to search ahead for the next update.
_HORIZON = 1000


@dataclasses.dataclass(frozen=True)
class Schedule(Plugin, abc.ABC):
    """Maps a training step to a sparsity.

    A step is the number of weight updates so far: step 0 is the state before the first update. A
    schedule is stateless, so a resumed training gets the same sparsity at the same step.

    Steps may be given as fractions of the training or as `kc.Epochs`. Such a schedule has values
    once `at` has turned them into numbers, which callbacks do when `fit` begins.

    Attributes:
        step_fields: Names of the fields that are steps, in ascending order.
        duration_fields: Names of the fields that are numbers of steps.
    """

    step_fields: ClassVar[tuple[str, ...]] = ()
    duration_fields: ClassVar[tuple[str, ...]] = ()

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

    @property
    def last_sparsity(self) -> float:
        """The sparsity at which the schedule ends."""
        return self(sys.maxsize)

    @property
    def complete_at(self) -> int | None:
        """The step from which on the last sparsity holds, or `None` if the schedule has none."""
        return None

    def at(self, length: TrainingLength) -> Self:
        """Return the schedule with numbers in place of fractions and epochs.

        Args:
            length: The `TrainingLength` of `fit`.

        Raises:
            InvalidArgumentError: Steps that do not ascend, now that they can be compared.
        """
        numbers_of = {name: length.step(value) for name, value in self._relative(self.step_fields)}
        for name, value in self._relative(self.duration_fields):
            numbers_of[name] = max(1, length.duration(value))
        return dataclasses.replace(self, **numbers_of) if numbers_of else self

    def check_length(self, length: TrainingLength) -> None:
        """Check before the training that every step will be known in time.

        Raises:
            InvalidArgumentError: One will not.
        """
        for name, value in self._relative(self.step_fields):
            length.require(name, value)
        for name, value in self._relative(self.duration_fields):
            if not length.is_known:
                raise length.unknown(name, value)

    def require_numbers(self) -> None:
        """Check that all steps are numbers.

        Raises:
            InvalidArgumentError: One is a fraction or in epochs.
        """
        for name, value in self._relative(self.step_fields + self.duration_fields):
            raise InvalidArgumentError(
                f"A {type(self).__name__} with steps in fractions or epochs has values only in "
                f"fit, which knows the length of the training. Received: {name}={value!r}"
            )

    def _relative(self, fields):
        """Yield (name, value) of the fields that depend on the length of the training."""
        for name in fields:
            if is_relative(value := getattr(self, name)):
                yield name, value

    def get_config(self) -> dict[str, Any]:
        """See `Plugin.get_config`; epochs are dicts."""
        steps = dict(self._relative(self.step_fields + self.duration_fields))
        return super().get_config() | {name: _to_json(value) for name, value in steps.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Plugin.from_config`."""
        return cls(**{name: _from_json(value) for name, value in config.items()})

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

    step_fields = ("begin_step", "end_step")
    duration_fields = ("frequency",)

    final_sparsity: float
    initial_sparsity: float = 0.0
    begin_step: Step = 0
    _: dataclasses.KW_ONLY
    end_step: Step
    frequency: Step = 100

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
        begin_step, end_step, _ = self._numbers()
        if step >= end_step:
            return self.final_sparsity
        if step <= begin_step:
            return self.initial_sparsity
        progress = (step - begin_step) / (end_step - begin_step)
        gap = self.initial_sparsity - self.final_sparsity
        return self.final_sparsity + gap * self.remaining(progress)

    def should_update(self, step: int) -> bool:
        """See `Schedule.should_update`."""
        return is_update_step(step, *self._numbers())

    @property
    def last_sparsity(self) -> float:
        """See `Schedule.last_sparsity`."""
        return self.final_sparsity

    @property
    def complete_at(self) -> int | None:
        """See `Schedule.complete_at`."""
        return self._numbers()[1]

    def check_length(self, length: TrainingLength) -> None:
        """See `Schedule.check_length`; a ramp must know its end from its first step on."""
        super().check_length(length)
        relative = dict(self._relative(self.step_fields))
        if len(relative) == 1 and not length.is_known:
            raise length.unknown(*next(iter(relative.items())))

    def _numbers(self) -> tuple[int, int, int]:
        self.require_numbers()
        return cast(tuple[int, int, int], (self.begin_step, self.end_step, self.frequency))


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
    """Check that fields are steps in ascending order and store them as `as_step` returns them."""
    for argument in arguments:
        object.__setattr__(schedule, argument, as_step(argument, getattr(schedule, argument)))
    check_order(**{argument: getattr(schedule, argument) for argument in arguments})


def check_frequency(schedule: Schedule) -> None:
    """Check that the field `frequency` is a positive number of steps and store it as one."""
    frequency = as_step("frequency", vars(schedule)["frequency"])
    if frequency == 0:
        raise InvalidArgumentError(
            "frequency must be 1 or more, the steps between two masks. "
            f"Received: frequency={frequency!r}"
        )
    object.__setattr__(schedule, "frequency", frequency)


def _to_json(value):
    return {"epochs": value.number} if isinstance(value, Epochs) else value


def _from_json(value):
    is_epochs = isinstance(value, Mapping) and set(value) == {"epochs"}
    return Epochs(value["epochs"]) if is_epochs else value
