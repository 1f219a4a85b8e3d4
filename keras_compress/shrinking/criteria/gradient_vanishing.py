"""Groups whose gradients have vanished."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import (
    StructuralCriterion,
    mean_over_batches,
)
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class GradientVanishing(StructuralCriterion):
    """Mean absolute gradient of a group's weights: if it is zero, the group learns nothing.

    score = mean over batches and weights of |dL/dw|. A group before dead ReLUs scores zero,
    however large its weights are. The size of the gradient is also the trainability measure of
    Lubana and Dick, "A Gradient Flow Framework For Analyzing Network Pruning", ICLR 2021,
    section 4.

    Example:
        >>> GradientVanishing().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        return mean_over_batches(statistics, lambda w, g: np.abs(g).mean(axis=1))
