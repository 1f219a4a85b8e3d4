"""The schedule that prunes fast at first and slowly towards the end."""

import dataclasses
import numbers

from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.base import RampSchedule


@dataclasses.dataclass(frozen=True)
class PolynomialDecay(RampSchedule):
    """Sparsity that rises fast while weights are redundant, and slowly near the end.

    Between `begin_step` and `end_step`, with p the fraction of these steps that are done,

        sparsity = final_sparsity + (initial_sparsity - final_sparsity) * (1 - p) ** power

    The values are those of tensorflow-model-optimization's `PolynomialDecay`. Masks are updated at
    the same steps and also at `end_step`, which tensorflow-model-optimization skips if `frequency`
    does not divide the length of the ramp.

    Source: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
    model compression", 2017, arXiv:1710.01878, section 3, equation 1 (with power 3).

    Args:
        final_sparsity: Float in [0, 1), reached at `end_step` and kept from then on.
        initial_sparsity: Float in [0, `final_sparsity`], where the ramp starts.
        begin_step: Step of the first mask.
        end_step: Step of the last mask (keyword only).
        frequency: Steps between two masks (keyword only).
        power: Positive exponent; 1 is a straight line (keyword only).

    Raises:
        InvalidArgumentError: A sparsity outside [0, 1), an initial one above the final one, a
            negative step, an `end_step` before `begin_step`, a frequency below 1 or a power of
            0 or less.

    Example:
        >>> schedule = PolynomialDecay(final_sparsity=0.8, begin_step=0, end_step=4000)
        >>> [round(schedule(step), 3) for step in (0, 1000, 2000, 4000, 9000)]
        [0.0, 0.463, 0.7, 0.8, 0.8]
    """

    _: dataclasses.KW_ONLY
    power: float = 3

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.power, numbers.Real) or not 0 < self.power < float("inf"):
            raise InvalidArgumentError(
                f"power must be a number above 0. Received: power={self.power!r}"
            )
        object.__setattr__(self, "power", float(self.power))

    def remaining(self, progress: float) -> float:
        """See `RampSchedule.remaining`."""
        return (1 - progress) ** self.power
