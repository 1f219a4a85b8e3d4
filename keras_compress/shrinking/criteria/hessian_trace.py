"""The curvature of the loss with respect to a group's weights."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class HessianTrace(StructuralCriterion):
    """Second-order change of the loss when a group is removed; the Hessian is trace / n times I.

    score = max(trace(H_group), 0) / (2 n) * ||w||^2. The trace is estimated by Hutchinson's
    method: E[v . Hv] with random signs v.

    Source: Yu et al., "Hessian-Aware Pruning and Optimal Neural Implant", WACV 2022, section 3.

    Args:
        probes: Number of random sign vectors for each batch.

    Example:
        >>> HessianTrace(probes=8).needs_loss
        True
    """

    probes: int = 4

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        traces, count = 0.0, 0
        for products in statistics.hessian_products(self.probes):
            traces = traces + statistics.score_coupled(_mean, products)
            count += 1
        squares = statistics.score_coupled(lambda w: np.square(w).sum(axis=1), statistics.weights)
        return np.maximum(traces / count, 0) / 2 * squares


def _mean(rows):
    return rows.mean(axis=1)
