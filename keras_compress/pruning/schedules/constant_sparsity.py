"""The schedule with the same sparsity from the first mask on."""

import dataclasses
from typing import cast

from keras_compress.pruning.schedules.base import (
    Schedule,
    check_frequency,
    check_sparsities,
    check_steps,
    is_update_step,
)
from keras_compress.support.steps import Step


@dataclasses.dataclass(frozen=True)
class ConstantSparsity(Schedule):
    """The same sparsity at every step; masks are refreshed as the weights move.

    The values are those of tensorflow-model-optimization's `ConstantSparsity`.

    Args:
        target_sparsity: Float in [0, 1).
        begin_step: Step of the first mask.
        end_step: Step of the last mask; masks stay fixed from then on. `None` refreshes them until
            training ends.
        frequency: Steps between two masks.

    Raises:
        InvalidArgumentError: A sparsity outside [0, 1), a negative step, an `end_step` before
            `begin_step`, or a frequency below 1.

    Example:
        >>> schedule = ConstantSparsity(0.5, begin_step=200)
        >>> schedule(200), schedule.should_update(200), schedule.should_update(250)
        (0.5, True, False)
    """

    step_fields = ("begin_step", "end_step")
    duration_fields = ("frequency",)

    target_sparsity: float
    begin_step: Step = 0
    end_step: Step | None = None
    frequency: Step = 100

    def __post_init__(self):
        check_sparsities(self, "target_sparsity")
        steps = ("begin_step",) if self.end_step is None else ("begin_step", "end_step")
        check_steps(self, *steps)
        check_frequency(self)

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self.target_sparsity

    def should_update(self, step: int) -> bool:
        """See `Schedule.should_update`."""
        self.require_numbers()
        steps = self.begin_step, self.end_step, self.frequency
        return is_update_step(step, *cast(tuple[int, int | None, int], steps))

    @property
    def complete_at(self) -> int | None:
        """See `Schedule.complete_at`."""
        self.require_numbers()
        return cast(int, self.begin_step)
