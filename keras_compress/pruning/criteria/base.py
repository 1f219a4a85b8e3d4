"""The base class of pruning criteria."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.support.plugins import Plugin
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Criterion(Plugin, abc.ABC):
    """Maps groups of weights to scores; the lowest scores are pruned first.

    A group is what a pattern prunes as a unit: a single weight, a block, an output channel.

    Gradients and activations are sums over the training steps that `kc.PruningCallback` observes.

    Attributes:
        needs_gradients: Whether the call needs `gradients`.
        needs_activations: Whether the call needs `activations`.
        sums_all_training: Whether the sums continue after a mask update. Otherwise each mask is
            computed from the steps since the last one.
        seed: Seed of the generator that callers pass as `rng`; a field of random criteria.
    """

    needs_gradients: ClassVar[bool] = False
    needs_activations: ClassVar[bool] = False
    sums_all_training: ClassVar[bool] = False
    seed: ClassVar[int] = 0

    def gradient_statistic(self, weights: Tensor, gradients: Tensor) -> Tensor:
        """Return what to sum over training steps; by default the gradients themselves.

        Args:
            weights: Array or tensor, a kernel at one step. Use only operators, which work on both.
            gradients: Array or tensor of the same shape, the gradients of the step's loss.

        Returns:
            Array or tensor of the same shape.
        """
        return gradients

    @abc.abstractmethod
    def __call__(
        self,
        groups: np.ndarray,
        *,
        gradients: np.ndarray | None = None,
        activations: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Score groups of weights.

        Args:
            groups: Float array (n_groups, elements_per_group). If the last groups of a pattern
                extend beyond the weights, a masked array whose masked entries are 0, so that its
                `mean` counts only real weights.
            gradients: Array of the same shape, the sums of `gradient_statistic`, or `None`.
            activations: Array of the same shape, for each weight the L2 norm of the inputs that
                it multiplies, over all samples and positions, or `None`.
            rng: `numpy.random.Generator` for random criteria.

        Returns:
            Float array (n_groups,); groups with higher scores are kept.
        """
