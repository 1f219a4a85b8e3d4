"""What every criterion shares: the call and what it may ask for."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.support.plugins import Plugin
from keras_compress.support.types import Tensor


@dataclasses.dataclass(frozen=True)
class Criterion(Plugin, abc.ABC):
    """A map from groups of weights to scores: the lowest scores are pruned first.

    A group is what a pattern prunes as one: a single weight, a block, an output channel.

    Gradients and activations come from training steps that `kc.PruningCallback` observes: sums
    over these steps.

    Attributes:
        needs_gradients: Whether the call needs `gradients`.
        needs_activations: Whether the call needs `activations`.
        sums_all_training: Whether sums go on after a mask update. Otherwise each mask is computed
            from the steps before it.
        seed: Seed of the generator that callers hand in; a field of criteria that draw.
    """

    needs_gradients: ClassVar[bool] = False
    needs_activations: ClassVar[bool] = False
    sums_all_training: ClassVar[bool] = False
    seed: ClassVar[int] = 0

    def gradient_statistic(self, weights: Tensor, gradients: Tensor) -> Tensor:
        """Return what is summed over training steps; by default the gradients themselves.

        Args:
            weights: Array or tensor, a kernel at one step. Operators alone serve both.
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
            groups: Float array (n_groups, elements_per_group). Where a pattern's last groups
                stick out over the weights, a masked array whose masked entries are 0, so that
                its `mean` counts the real weights alone.
            gradients: Array of the same shape, the sums of `gradient_statistic`, or `None`.
            activations: Array of the same shape, for each weight the L2 norm of the inputs that
                it multiplies, over all samples and positions, or `None`.
            rng: `numpy.random.Generator` for criteria that draw.

        Returns:
            Float array (n_groups,); higher is kept.
        """
