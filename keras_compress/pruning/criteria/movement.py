"""Score groups by how far training moves them away from zero."""

import dataclasses
from typing import ClassVar, cast

import numpy as np

from keras_compress.pruning.criteria.base import Criterion
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Movement(Criterion):
    """How far training moves a group away from zero: score = -sum over steps of sum(w * dL/dw).

    The sum covers all observed steps of a training: those in the `observed_steps` updates before
    each mask (see `kc.PruningCallback`). With `observed_steps` equal to the schedule's `frequency`
    every step is observed, as in the paper. A group of zeros has the lowest score, so in a plain
    model, where pruned weights are zeros, it stays pruned. The paper's scores also contain the
    learning rate as a factor, which does not change their order.

    Source: Sanh et al., "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020,
    arXiv:2005.07683, section 4 (straight-through gradients of masked weights).

    Example:
        >>> criterion = Movement()
        >>> sums = criterion.gradient_statistic(np.array([[1.0], [2.0]]), np.array([[0.5], [-1.0]]))
        >>> criterion(np.array([[1.0], [2.0]]), gradients=sums)
        array([-0.5,  2. ])
    """

    needs_gradients: ClassVar[bool] = True
    sums_all_training: ClassVar[bool] = True

    def gradient_statistic(self, weights: Tensor, gradients: Tensor) -> Tensor:
        """Return `-w * dL/dw`."""
        return -weights * gradients

    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights."""
        zeros = np.asarray(np.abs(groups).sum(axis=1)) == 0
        return np.where(zeros, -np.inf, np.asarray(cast(np.ndarray, gradients).sum(axis=1)))
