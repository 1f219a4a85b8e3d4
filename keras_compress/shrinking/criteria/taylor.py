"""First-order Taylor expansion of the loss."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import (
    StructuralCriterion,
    mean_over_batches,
)
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class Taylor(StructuralCriterion):
    """Squared change of the loss, to first order, when a group is set to zero.

    score = mean over batches of (sum(w * dL/dw)) ** 2, over all trainable weights of the group.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
    equation 8 (the form with gates: the sum is inside the square).

    Example:
        >>> Taylor().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        return mean_over_batches(statistics, lambda w, g: np.square((w * g).sum(axis=1)))
