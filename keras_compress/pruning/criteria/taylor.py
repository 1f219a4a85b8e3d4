"""Score groups by a first-order Taylor expansion of the loss."""

import dataclasses
from typing import ClassVar, cast

import numpy as np

from keras_compress.pruning.criteria.base import Criterion
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Taylor(Criterion):
    """Squared first-order change of the loss: score = sum over steps of sum((w * dL/dw) ** 2).

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
    arXiv:1906.10771, section 3 (a group's importance is the sum of its weights' importances).

    Example:
        >>> criterion = Taylor()
        >>> sums = criterion.gradient_statistic(np.array([[1.0], [2.0]]), np.array([[0.5], [-1.0]]))
        >>> criterion(np.array([[1.0], [2.0]]), gradients=sums)
        array([0.25, 4.  ])
    """

    needs_gradients: ClassVar[bool] = True

    def gradient_statistic(self, weights: Tensor, gradients: Tensor) -> Tensor:
        """Return `(w * dL/dw) ** 2`."""
        return (weights * gradients) ** 2

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        return np.asarray(cast(np.ndarray, gradients).sum(axis=1))
