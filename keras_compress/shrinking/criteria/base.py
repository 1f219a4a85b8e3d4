"""What every criterion for groups of coupled weights shares."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.evidence import Evidence
from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class StructuralCriterion(Plugin, abc.ABC):
    """A map from the evidence about a model to one score for each group: the lowest go first.

    Attributes:
        needs_data: Whether the evidence must hold data; `needs_loss`, whether also labels and
            a loss.
        comparable: Whether scores of different layers have one unit. Where they have not, the
            ranking divides them by the mean of their layer.
    """

    needs_data: ClassVar[bool] = False
    needs_loss: ClassVar[bool] = False
    comparable: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, evidence: Evidence) -> np.ndarray:
        """Score the groups.

        Args:
            evidence: An `Evidence`.

        Returns:
            Float array (groups,); NaN where the criterion says nothing: these groups stay.
        """


def mean_over_batches(
    evidence: Evidence, function: Callable[..., np.ndarray], side: str = "all"
) -> np.ndarray:
    """Score by weights and gradients, batch by batch, and average.

    Args:
        evidence: An `Evidence` with data.
        function: Maps weights and gradients, both (groups, elements), to scores (groups,).
        side: See `Evidence.score_coupled`.
    """
    total: np.ndarray | float = 0.0
    count = 0
    for gradients in evidence.gradients():
        total = total + evidence.score_coupled(function, evidence.weights, gradients, side=side)
        count += 1
    return np.asarray(total / count)
