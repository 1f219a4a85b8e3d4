"""Steps of a training as numbers, fractions or epochs, and the updates that they stand for."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import Any

from keras_compress.errors import InvalidArgumentError

# Stands for a step that lies after the first epoch, while nobody can say how far after it.
LATER = 2**62


@dataclasses.dataclass(frozen=True, order=True)
class Epochs:
    """A step of a training, counted in epochs of `fit`.

    Schedules and callbacks take it wherever they take a step.

        step = step at which epoch 0 of fit begins + number * updates in an epoch

    Args:
        number: Epochs since the start of the training, 0 or more; 2.5 is the middle of the third.

    Raises:
        InvalidArgumentError: A negative or infinite number.

    Example:
        >>> kc.QuantizationCallback(begin_step=kc.Epochs(3)).begin_step
        Epochs(number=3.0)
    """

    number: float

    def __post_init__(self):
        if not isinstance(self.number, numbers.Real) or not 0 <= float(self.number) < math.inf:
            raise InvalidArgumentError(
                f"Epochs must be a finite number >= 0. Received: kc.Epochs({self.number!r})"
            )
        object.__setattr__(self, "number", float(self.number))


# A number of updates, a fraction of the training, or epochs.
Step = int | float | Epochs


def as_step(argument: str, value: Any) -> Step:
    """Check a step and return it as an integer, a float in (0, 1] or `Epochs`.

    Args:
        argument: Name of the argument, for the error.
        value: What was passed for it.

    Returns:
        The step. Zero of any kind is the integer 0.

    Raises:
        InvalidArgumentError: The value is not a step.

    Example:
        >>> as_step("begin_step", 4000.0), as_step("begin_step", 0.5)
        (4000, 0.5)
    """
    if isinstance(value, Epochs):
        return value if value.number else 0
    number = float(value) if isinstance(value, numbers.Real) else -1.0
    if 0 <= number < math.inf:
        if isinstance(value, numbers.Integral):
            return int(value)
        if 0 < number <= 1:
            return number
        if number.is_integer():
            return int(number)
    raise InvalidArgumentError(
        f"{argument} must be 0 or more: an integer in training steps (batches, not epochs), a "
        "fraction of the training (0.5 is the middle, 1.0 the end) or epochs (kc.Epochs(3)). "
        f"Received: {argument}={value!r}"
    )


def is_relative(step: Step | None) -> bool:
    """Tell whether a step depends on the length of the training."""
    return isinstance(step, float | Epochs)


def check_order(**steps: Step) -> None:
    """Check that steps of one kind ascend; others are compared once `fit` has begun.

    Args:
        **steps: Steps by the names of their arguments, in the order that they must have.

    Raises:
        InvalidArgumentError: A step comes before the one that precedes it.
    """
    named = list(steps.items())
    for (earlier, first), (later, second) in zip(named, named[1:], strict=False):
        if type(first) is type(second) and second < first:  # type: ignore[operator]
            raise InvalidArgumentError(
                f"{later} must not come before {earlier}. "
                f"Received: {earlier}={first}, {later}={second}"
            )


@dataclasses.dataclass(frozen=True)
class TrainingLength:
    """How long `fit` trains.

    Args:
        epochs: The argument of `fit`; `None` while no training has begun.
        updates_per_epoch: Updates of the weights in an epoch; `None` while unknown.
        first_epoch: The epoch with which `fit` begins; above 0 when it resumes.
        first_step: The step at which that epoch begins.

    Example:
        >>> length = TrainingLength(epochs=10, updates_per_epoch=43)
        >>> length.step(2000), length.step(0.5), length.step(Epochs(3)), length.end
        (2000, 215, 129, 430)
    """

    epochs: int | None = None
    updates_per_epoch: float | None = None
    first_epoch: int = 0
    first_step: int = 0

    @classmethod
    def of(cls, parameters: Mapping[str, Any] | None, accumulation: int = 1) -> "TrainingLength":
        """Return what `fit` tells its callbacks.

        Args:
            parameters: `Callback.params`, with `epochs` and `steps` (batches in an epoch, or
                `None`); `None` or empty in a training loop that sets none.
            accumulation: Number of batches whose gradients one update takes.
        """
        parameters = parameters or {}
        steps = parameters.get("steps")
        return cls(parameters.get("epochs"), None if steps is None else steps / accumulation)

    @property
    def is_known(self) -> bool:
        """Whether the number of updates is known."""
        return self.epochs is not None and self.updates_per_epoch is not None

    def updates_since(self, epoch: int) -> int:
        """Return the number of updates from the begin of an epoch to the end of the training."""
        return self.duration(1.0) - self.duration(Epochs(epoch))

    @property
    def end(self) -> int:
        """The number of updates at the end of the training, if it is known."""
        return self.step(1.0)

    def step(self, value: Step) -> int:
        """Return a step as a number of updates.

        Args:
            value: A step.

        Returns:
            An integer >= 0; `LATER` while the length of an epoch is unknown.

        Raises:
            InvalidArgumentError: A fraction or epochs, and no training has begun.
        """
        if isinstance(value, int):
            return value
        if not self.is_known:
            return self._later(value)
        done = self.duration(Epochs(self.first_epoch))
        return max(0, self.first_step + self.duration(value) - done)

    def duration(self, value: Step) -> int:
        """Return a number of updates, a fraction of all updates or epochs as updates."""
        if isinstance(value, int):
            return value
        if self.epochs is None or self.updates_per_epoch is None:
            return self._later(value)
        return round(self._epochs(value) * self.updates_per_epoch)

    def require(self, name: str, value: Step) -> None:
        """Check before the training that a step will be known in time.

        Args:
            name: Name of the argument, for the error.
            value: A step.

        Raises:
            InvalidArgumentError: The step comes before the end of the first epoch of `fit`, and
                only that end tells how long an epoch is.
        """
        if not is_relative(value) or self.is_known:
            return
        if self.epochs is None:
            raise InvalidArgumentError(
                f"{name} depends on the length of the training, which this loop does not tell. "
                "Pass it: keras.callbacks.CallbackList(callbacks, model=model, epochs=10, "
                f"steps=100), or give a number of steps. Received: {name}={value!r}"
            )
        if self._epochs(value) < self.first_epoch + 1:
            raise self.unknown(name, value)

    @staticmethod
    def unknown(name: str, value: Step) -> InvalidArgumentError:
        """Return the error of a step that is needed before the length of an epoch is known."""
        return InvalidArgumentError(
            f"{name} must be known when fit begins, and the data do not tell how many steps an "
            "epoch has. Pass steps_per_epoch to fit, or give a number of steps. "
            f"Received: {name}={value!r}"
        )

    def _epochs(self, value):
        return value.number if isinstance(value, Epochs) else value * self.epochs

    def _later(self, value):
        if self.epochs is None:
            raise InvalidArgumentError(
                "A step in fractions or epochs becomes a number when fit begins; before that give "
                f"a number of steps. Received: {value!r}"
            )
        return LATER
