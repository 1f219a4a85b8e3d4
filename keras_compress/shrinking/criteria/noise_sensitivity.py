"""How much the outputs change when a group's weights are perturbed."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.group_statistics import GroupStatistics


@dataclasses.dataclass(frozen=True)
class NoiseSensitivity(StructuralCriterion):
    """Expected squared change of the outputs under multiplicative noise on a group's weights.

    With w * (1 + s * e), e of variance 1, the outputs change by E||df||^2 = s^2 * sum over w of
    w^2 ||df/dw||^2 to first order. The norms of the Jacobian are estimated with random signs u
    over all outputs: E[(d(u.f)/dw)^2] = ||df/dw||^2. A few backward passes therefore score all
    groups, whereas perturbing each group separately would take one forward pass per group.

    Sources: the multiplicative noise of Molchanov et al., "Variational Dropout Sparsifies Deep
    Neural Networks", ICML 2017; the random signs of Hutchinson, "A stochastic estimator of the
    trace of the influence matrix for Laplacian smoothing splines", 1989.

    Args:
        probes: Number of random sign vectors for each batch.

    Example:
        >>> NoiseSensitivity(probes=8).needs_data
        True
    """

    probes: int = 4

    needs_data: ClassVar[bool] = True
    comparable: ClassVar[bool] = True

    def __call__(self, statistics: GroupStatistics) -> np.ndarray:
        """Score the groups."""
        total: np.ndarray | float = 0.0
        count = 0
        for gradients in statistics.output_gradients(self.probes):
            total = total + statistics.score_coupled(
                _energy, statistics.weights, gradients, side="all"
            )
            count += 1
        return np.asarray(total / count)


def _energy(weights, gradients):
    return np.square(weights * gradients).sum(axis=1)
