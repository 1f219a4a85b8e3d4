"""Filters near the geometric median of their layer."""

import dataclasses

import numpy as np

from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class GeometricMedian(StructuralCriterion):
    """Sum of distances to the other filters: a filter near all others is redundant.

    score_i = sum over j of ||w_i - w_j||, over the weights that produce the channels.

    Source: He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural
    Networks Acceleration" (FPGM), CVPR 2019, equation 7.

    Example:
        >>> distance_sums(np.array([[0.0], [1.0], [5.0]])).tolist()
        [6.0, 5.0, 9.0]
    """

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        return statistics.score_coupled(distance_sums, statistics.weights, side="made")


def distance_sums(rows):
    """Return for each row the sum of its Euclidean distances to all rows."""
    rows = rows.astype("float64")
    squares = np.square(rows).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * rows @ rows.T
    return np.sqrt(np.maximum(distances, 0)).sum(axis=1)
