"""What every criterion shares: the call and what it may ask for."""

import abc
import dataclasses
from typing import ClassVar

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class Criterion(Plugin, abc.ABC):
    """A map from groups of weights to scores: the lowest scores are pruned first.

    A group is what a pattern prunes as one: a single weight, a block, an output channel.

    Attributes:
        needs_gradients: Whether the call needs `gradients`.
        needs_activations: Whether the call needs `activations`.
        seed: Seed of the generator that callers hand in; a field of criteria that draw.
    """

    needs_gradients: ClassVar[bool] = False
    needs_activations: ClassVar[bool] = False
    seed: ClassVar[int] = 0

    @abc.abstractmethod
    def __call__(self, groups, *, gradients=None, activations=None, rng=None):
        """Score groups of weights.

        Args:
            groups: Float array (n_groups, elements_per_group). Where a pattern's last groups
                stick out over the weights, a masked array whose masked entries are 0, so that
                its `mean` counts the real weights alone.
            gradients: Array of the same shape, the loss's gradients, or `None`.
            activations: Array of the layer's inputs, or `None`.
            rng: `numpy.random.Generator` for criteria that draw.

        Returns:
            Float array (n_groups,); higher is kept.
        """
