"""The schedule of one sparsity from the first mask on."""

import dataclasses

from keras_compress.pruning.schedules.base import (
    Schedule,
    check_frequency,
    check_sparsities,
    check_steps,
    is_update_step,
)


@dataclasses.dataclass(frozen=True)
class ConstantSparsity(Schedule):
    """The same sparsity at every step; masks are refreshed as the weights move.

    The values are those of tensorflow-model-optimization's `ConstantSparsity`.

    Args:
        target_sparsity: Float in [0, 1).
        begin_step: Step of the first mask.
        end_step: Step of the last mask; the masks stay as they are from then on. `None`
            refreshes them until training ends.
        frequency: Steps between two masks.

    Raises:
        InvalidArgumentError: A sparsity outside [0, 1), a negative step, an end before the
            begin, or a frequency below 1.

    Example:
        >>> schedule = ConstantSparsity(0.5, begin_step=200)
        >>> schedule(200), schedule.should_update(200), schedule.should_update(250)
        (0.5, True, False)
    """

    target_sparsity: float
    begin_step: int = 0
    end_step: int | None = None
    frequency: int = 100

    def __post_init__(self):
        check_sparsities(self, "target_sparsity")
        steps = ("begin_step",) if self.end_step is None else ("begin_step", "end_step")
        check_steps(self, *steps)
        check_frequency(self)

    def __call__(self, step: int) -> float:
        """Return the sparsity that holds at a step."""
        return self.target_sparsity

    def should_update(self, step: int) -> bool:
        """Tell whether the masks are computed anew at a step."""
        return is_update_step(step, self.begin_step, self.end_step, self.frequency)
