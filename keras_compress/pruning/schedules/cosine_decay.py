"""The schedule that starts and ends gently."""

import dataclasses
import math

from keras_compress.pruning.schedules.base import RampSchedule


@dataclasses.dataclass(frozen=True)
class CosineDecay(RampSchedule):
    """Sparsity that follows half a cosine: slow at both ends, fastest in the middle.

    Between `begin_step` and `end_step`, with p the fraction of these steps that are done,

        sparsity = final_sparsity + (initial_sparsity - final_sparsity) * (1 + cos(pi * p)) / 2

    It prunes later than `PolynomialDecay`, so the network trains longer before it loses most of
    its weights.

    Source: Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    2017, arXiv:1608.03983, section 3, equation 5 (one period, for the learning rate);
    for the rate of pruning, Dettmers and Zettlemoyer, "Sparse networks from scratch: faster
    training without losing performance", 2019, arXiv:1907.04840, section 3.

    Args:
        final_sparsity: Float in [0, 1), reached at `end_step` and kept from then on.
        initial_sparsity: Float in [0, `final_sparsity`], where the ramp starts.
        begin_step: Step of the first mask.
        end_step: Step of the last mask (keyword only).
        frequency: Steps between two masks (keyword only).

    Raises:
        InvalidArgumentError: A sparsity outside [0, 1), an initial one above the final one, a
            negative step, an `end_step` before `begin_step` or a frequency below 1.

    Example:
        >>> schedule = CosineDecay(final_sparsity=0.8, end_step=4000)
        >>> [round(schedule(step), 3) for step in (0, 1000, 2000, 4000)]
        [0.0, 0.117, 0.4, 0.8]
    """

    def remaining(self, progress: float) -> float:
        """See `RampSchedule.remaining`."""
        return (1 + math.cos(math.pi * progress)) / 2
