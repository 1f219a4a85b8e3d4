"""The schedule with a single mask."""

import dataclasses
from typing import cast

from keras_compress.pruning.schedules.base import Schedule, check_sparsities, check_steps
from keras_compress.support.steps import Step


@dataclasses.dataclass(frozen=True)
class OneShot(Schedule):
    """Prune once, then keep training with the same mask.

    Source: Han et al., "Learning both weights and connections for efficient neural networks",
    2015, arXiv:1506.02626, section 3 (one round of train, prune, retrain).

    Args:
        sparsity: Float in [0, 1), the sparsity of the mask.
        step: Step at which the mask is computed.

    Raises:
        InvalidArgumentError: A sparsity outside [0, 1) or a negative step.

    Example:
        >>> schedule = OneShot(0.5, step=100)
        >>> schedule(99), schedule(100), schedule.should_update(101)
        (0.0, 0.5, False)
    """

    step_fields = ("step",)

    sparsity: float
    step: Step = 0

    def __post_init__(self):
        check_sparsities(self, "sparsity")
        check_steps(self, "step")

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self.sparsity if step >= self.complete_at else 0.0

    def should_update(self, step: int) -> bool:
        """See `Schedule.should_update`."""
        return step == self.complete_at

    @property
    def complete_at(self) -> int:
        """See `Schedule.complete_at`."""
        self.require_numbers()
        return cast(int, self.step)

    @property
    def last_sparsity(self) -> float:
        """See `Schedule.last_sparsity`."""
        return self.sparsity
