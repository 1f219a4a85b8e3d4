"""Groups whose gradients have died."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import (
    StructuralCriterion,
    mean_over_batches,
)
from keras_compress.shrinking.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class GradientVanishing(StructuralCriterion):
    """Mean absolute gradient of the weights of a group: where it is zero, nothing is learnt.

    score = mean over batches and weights of |dL/dw|. A group behind dead ReLUs scores zero,
    however large its weights. The gradient's size also is the trainability measure of Lubana
    and Dick, "A Gradient Flow Framework For Analyzing Network Pruning", ICLR 2021, section 4.

    Example:
        >>> GradientVanishing().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True

    def __call__(self, evidence: Evidence) -> np.ndarray:
        """Score the groups."""
        return mean_over_batches(evidence, lambda w, g: np.abs(g).mean(axis=1))
