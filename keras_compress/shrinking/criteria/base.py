"""The base class of criteria for groups of coupled weights."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.group_statistics import GroupStatistics
from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class StructuralCriterion(Plugin, abc.ABC):
    """Computes one score for each group of a model. The lowest scores are removed first.

    Attributes:
        needs_data: Whether the criterion needs data.
        needs_loss: Whether it also needs labels and a loss.
        comparable: Whether scores of different layers have the same unit. If not, they are
            divided by the mean of their layer before they are ranked.
    """

    needs_data: ClassVar[bool] = False
    needs_loss: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups.

        Args:
            statistics: A `GroupStatistics`.

        Returns:
            Float array (groups,). NaN means that the criterion does not apply: the group stays.
        """


def mean_over_batches(
    statistics: GroupStatistics, function: Callable[..., np.ndarray], side: str = "all"
) -> np.ndarray:
    """Score groups by weights and gradients, averaged over batches.

    Args:
        statistics: A `GroupStatistics` that has data.
        function: Maps weights and gradients, both (groups, elements), to scores (groups,).
        side: See `GroupStatistics.score_coupled`.
    """
    total: np.ndarray | float = 0.0
    count = 0
    for gradients in statistics.gradients():
        total = total + statistics.score_coupled(function, statistics.weights, gradients, side=side)
        count += 1
    return np.asarray(total / count)
