"""What every pattern shares: how weights form groups, and how kept groups become a mask."""

import abc
import dataclasses
from typing import ClassVar

import numpy as np

from keras_compress.pruning.ranking import layer_mask
from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True)
class Pattern(Plugin, abc.ABC):
    """A map from scores and sparsity to a mask.

    Weights come in the layout in which TFLite stores them, because that is where zeros must
    lie for a kernel to profit from them: Dense (out, in) and convolutions (out, h, w, in) with
    `channel_axis` 0, depthwise convolutions (1, h, w, channels) with `channel_axis` 3.

    Attributes:
        local: Whether groups compete only inside a neighbourhood that the pattern fixes, so
            that a ranking over the whole model has no meaning.
    """

    local: ClassVar[bool] = False

    @abc.abstractmethod
    def group(self, weights: np.ndarray, channel_axis: int) -> np.ndarray:
        """Arrange weights in the groups that are pruned as one.

        Args:
            weights: Array in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Array (n_groups, elements_per_group), a masked array where the last groups stick
            out over the weights.
        """

    @abc.abstractmethod
    def ungroup(self, keep: np.ndarray, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Spread what holds for groups over the weights in them; the inverse of `group`.

        Args:
            keep: Boolean array (n_groups,).
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Boolean array of shape `shape`.
        """

    @abc.abstractmethod
    def group_sizes(self, shape: tuple[int, ...], channel_axis: int) -> np.ndarray:
        """Count the weights in each group.

        Args:
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Integer array (n_groups,).
        """

    def mask(
        self, scores: np.ndarray, sparsity: float, shape: tuple[int, ...], channel_axis: int
    ) -> np.ndarray:
        """Choose the weights that stay.

        Args:
            scores: Float array (n_groups,); higher is kept.
            sparsity: Float in [0, 1), the fraction of groups to prune.
            shape: Shape of the weights in the deployed layout.
            channel_axis: Axis of the output channels.

        Returns:
            Boolean array of shape `shape`, true where the weight is kept.
        """
        return self.ungroup(layer_mask(scores, sparsity), shape, channel_axis)

    def check_target(self, sparsity: float) -> None:
        """Refuse a sparsity that a schedule may not end at with this pattern.

        Args:
            sparsity: Float in [0, 1), where the schedule ends.

        Raises:
            InvalidArgumentError: The pattern would not be reached.
        """
