"""Connection sensitivity (SNIP)."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import (
    StructuralCriterion,
    mean_over_batches,
)
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class Snip(StructuralCriterion):
    """Sum of the absolute effects of a group's weights on the loss: they cannot cancel out.

    score = mean over batches of sum(|w * dL/dw|). The weights need not be trained.

    Source: Lee et al., "SNIP: Single-shot network pruning based on connection sensitivity",
    ICLR 2019, equation 5, summed over the group.

    Example:
        >>> Snip().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        return mean_over_batches(statistics, lambda w, g: np.abs(w * g).sum(axis=1))
