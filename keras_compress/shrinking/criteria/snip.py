"""Connection sensitivity."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import (
    StructuralCriterion,
    mean_over_batches,
)
from keras_compress.shrinking.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Snip(StructuralCriterion):
    """How strongly the loss reacts to each weight of the group: no sign cancels another.

    score = mean over batches of sum(|w * dL/dw|). It needs no trained weights.

    Source: Lee et al., "SNIP: Single-shot network pruning based on connection sensitivity",
    ICLR 2019, equation 5, summed over the group.

    Example:
        >>> Snip().needs_data
        True
    """

    needs_data: ClassVar[bool] = True
    needs_loss: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, evidence: Evidence) -> np.ndarray:
        """Score the groups."""
        return mean_over_batches(evidence, lambda w, g: np.abs(w * g).sum(axis=1))
